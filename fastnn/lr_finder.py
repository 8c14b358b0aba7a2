"""A learning rate for a model and its data: a short training with a rising rate (Smith 2015, arXiv:1506.01186)."""

from __future__ import annotations

import copy
import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, ArrayLike, Seed
from fastnn.schedules import Schedule

if TYPE_CHECKING:
    from fastnn._targets import Targets
    from fastnn.model import Sequential

_OWNER = "find_learning_rate"
_DIVERGED = 4.0  # times the lowest smoothed loss so far: here the rate is too high
_CLEAR = 3.5  # times the noise: fresh networks fell by 4.5 to 17, trained ones and random labels by up to 2.8
_NEAR = 0.1  # share of the fall


@dataclass(frozen=True)
class RangeTest:
    """What `find_learning_rate` saw: rates, losses and smoothed losses, float64 (S,), up to where the loss diverged.

    losses[i] is a batch's loss before the update with rates[i]. suggestion: where the smoothed loss falls most steeply
    over the logarithm of the rate, before its lowest point; None where it does not fall by more than the losses'
    noise would explain.
    """

    rates: Array
    losses: Array
    smoothed: Array
    suggestion: float | None

    def to_csv(self) -> str:
        """The curve as a table: learning_rate, loss, smoothed."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("learning_rate", "loss", "smoothed"))
        table.writerows(zip(self.rates.tolist(), self.losses.tolist(), self.smoothed.tolist(), strict=True))
        return text.getvalue()


def find_learning_rate(
    model: Sequential,
    x: ArrayLike,
    y: ArrayLike,
    start: float = 1e-7,
    end: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
    smoothing: float = 0.8,
    seed: Seed = None,
) -> RangeTest:
    """Train a copy of the model for at most `steps` steps with rates from start to end, each a constant factor higher.

    The model itself stays as it is: weights, the optimizer's memory, its random generators. The copy's optimizer begins
    without memory, decay or schedule. The test ends early when the loss is not finite, or above four times its lowest
    smoothed value. x (N, ...) and y: as for `Sequential.fit`. Batches are drawn without replacement, shuffled by seed
    (else as the model would); where they are used up, from the beginning again. smoothing: 0 (none) up to below 1, the
    weight of the past in the moving average, which is taken forwards and backwards, so that the curve does not lag.

    The suggestion is a rate to begin with; the curve shows how much higher the highest rate of a schedule may be.
    """
    start = _checks.number(_OWNER, "start", start, above=0)
    end = _checks.number(_OWNER, "end", end, above=start)
    steps = _checks.integer(_OWNER, "steps", steps, 10)
    batch_size = _checks.integer(_OWNER, "batch_size", batch_size, 1)
    smoothing = _checks.number(_OWNER, "smoothing", smoothing, minimum=0, below=1)
    seed = _checks.seed(_OWNER, seed)
    twin = copy.deepcopy(model)
    checked, targets = twin.check_data(x, y)
    rates = np.geomspace(start, end, steps)
    twin.optimizer.reset()
    twin.optimizer.learning_rate, twin.optimizer.decay = _Given(rates), 0.0
    rng = twin.rng if seed is None else np.random.default_rng(seed)
    losses = _losses(twin, checked, targets, rng, steps, min(batch_size, len(checked)), smoothing)
    smoothed = _smoothed(losses, smoothing)
    rates = rates[: len(losses)]
    return RangeTest(rates, losses, smoothed, _steepest(rates, losses, smoothed))


class _Given(Schedule):
    """A list of rates."""

    def __init__(self, rates: Array) -> None:
        self._rates = rates.tolist()

    def rate(self, step: int) -> float:
        return float(self._rates[min(step, len(self._rates) - 1)])


def _losses(
    model: Sequential, x: Array, targets: Targets, rng: np.random.Generator, steps: int, size: int, smoothing: float
) -> Array:
    """The losses of up to `steps` steps, the last of them where it diverged, those that are not finite left out."""
    recorded = model.steps(x, targets, size)
    order = np.arange(len(x), dtype=np.intp)
    batches = len(x) // size
    losses: list[float] = []
    mean, lowest = 0.0, math.inf
    for step in range(steps):
        if step % batches == 0:
            rng.shuffle(order)
        first = step % batches * size
        (loss,), _, done = recorded.run(x, targets.values, order[first : first + size], 1)
        if not done:
            break
        losses.append(float(loss))
        mean = smoothing * mean + (1 - smoothing) * losses[-1]
        recent = mean / (1 - smoothing ** len(losses))  # a mean that began with a 0
        lowest = min(lowest, recent)
        if recent > _DIVERGED * lowest:
            break
    return np.array(losses)


def _smoothed(losses: Array, smoothing: float) -> Array:
    """The moving mean forwards and backwards, so that it does not lag.

    What exceeds the losses of the beginning counts as the largest of these: a divergence must not hide the fall.
    """
    capped = np.minimum(losses, losses[: 1 + len(losses) // 4].max(initial=-math.inf))
    return _moving_mean(_moving_mean(capped, smoothing)[::-1], smoothing)[::-1]


def _moving_mean(values: Array, smoothing: float) -> Array:
    """The exponential moving mean, its beginning corrected for what is not there yet."""
    mean, means = 0.0, np.empty(len(values))
    for i, value in enumerate(values.tolist()):
        mean = smoothing * mean + (1 - smoothing) * value
        means[i] = mean / (1 - smoothing ** (i + 1))
    return means


def _steepest(rates: Array, losses: Array, smoothed: Array) -> float | None:
    """The rate of the steepest fall between where the curve leaves the level of its beginning and its lowest point."""
    lowest = int(smoothed.argmin()) if len(smoothed) else 0
    if lowest < 2:
        return None
    before = smoothed[: lowest + 1]
    level = float(np.median(before[: 1 + lowest // 3]))
    fall, noise = level - before[-1], np.std(losses[: lowest + 1] - before)
    if fall <= _CLEAR * noise:
        return None
    near = np.flatnonzero(before >= level - _NEAR * fall)  # what falls among these is noise of the flat beginning
    top = min(int(near[-1]), lowest - 1)
    slopes = np.gradient(before[top:])  # the rates' logarithms are equally far apart
    return float(rates[top + int(slopes.argmin())])
