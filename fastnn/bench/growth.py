"""How the time of a training step grows: measured and predicted, along one axis at a time.

Calibration and steps take turns, and the fastest round of each counts: a virtual machine's cores may lie apart for
minutes, and what is measured then belongs to another machine than what is measured before and after.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn as fn
from fastnn.bench.cost import Machine, best, calibrate, recorded_operations, step_cost
from fastnn.bench.text import seconds as as_text
from fastnn.layers import Layer
from fastnn.model import Sequential
from fastnn.plots import _figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLOCK = 0.1  # seconds of steps that a point takes in a round
_BATCHES = 4


@dataclass(frozen=True)
class Point:
    """One measured step: seconds, what the model predicts, and the roofline's bound."""

    curve: str
    at: int
    measured: float
    predicted: float
    roofline: float
    gflops: float

    @property
    def error(self) -> float:
        """Of the prediction, relative to the measured time."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Curve:
    """A row of networks: title, axis, its values, and what makes layers, input shape and batch size of a value."""

    title: str
    axis: str
    values: tuple[int, ...]
    make: Callable[[int], tuple[list[Layer], tuple[int, ...], int]]
    threads: bool = False


def _mlp(width: int, depth: int) -> list[Layer]:
    hidden = [layer for _ in range(depth) for layer in (fn.Dense(None, width), fn.ReLU())]
    return [*hidden, fn.Dense(None, 10)]


def _cnn(channels: int) -> list[Layer]:
    return [
        fn.Conv2D(None, channels, 3, padding="same"), fn.ReLU(), fn.MaxPool2D(2),
        fn.Conv2D(None, 2 * channels, 3, padding="same"), fn.ReLU(), fn.MaxPool2D(2),
        fn.Flatten(), fn.Dense(None, 10),
    ]  # fmt: skip


CURVES = (
    Curve("MLP 784-256-256-10", "batch", (8, 16, 32, 64, 128, 256, 512, 1024), lambda n: (_mlp(256, 2), (784,), n)),
    Curve("MLP 784-W-W-10, batch 128", "width", (32, 64, 128, 256, 512, 1024), lambda w: (_mlp(w, 2), (784,), 128)),
    Curve("MLP 784-256-...-10, batch 128", "depth", (1, 2, 4, 8, 16), lambda d: (_mlp(256, d), (784,), 128)),
    Curve("CNN C-2C on 28x28x1, batch 64", "channels", (8, 16, 32, 64, 128), lambda c: (_cnn(c), (28, 28, 1), 64)),
    Curve("CNN 32-64, 3 channels, batch 32", "pixels", (8, 16, 24, 32, 48), lambda s: (_cnn(32), (s, s, 3), 32)),
    Curve("CNN 32-64 on 28x28x1, batch 64", "threads", (1, 2, 4, 8, 16), lambda t: (_cnn(32), (28, 28, 1), 64), True),
)


class _Run:
    """One network in measurement, and the fastest of its steps so far."""

    def __init__(self, curve: Curve, at: int, threads: int) -> None:
        self.curve, self.at, self.threads = curve, at, threads
        layers, shape, self._batch = curve.make(at)
        self._model = Sequential(layers, shape, seed=0)
        self._model.compile(fn.SGD(1e-6, momentum=0.9), fn.SoftmaxCrossEntropy())
        rng, samples = np.random.default_rng(0), _BATCHES * self._batch
        self._data = rng.standard_normal((samples, *shape), np.float32), rng.integers(0, 10, samples)
        self._operations = recorded_operations(self._model, *self._data, self._batch)
        self._fastest = math.inf

    def go(self, seconds: float) -> None:
        """Measure for about so long; as `calibrate`, what neighbours on the machine take is not the step's."""
        for _ in range(2):  # the first half warms the caches, and the first of all tells how long an epoch takes
            epochs = max(1, int(seconds / 2 / (_BATCHES * self._fastest)))
            done = self._model.fit(*self._data, epochs=epochs, batch_size=self._batch, shuffle=False, verbose=False)
            self._fastest = min(self._fastest, *(t / _BATCHES for t in done.seconds))

    def point(self, machine: Machine) -> Point:
        """What was measured, beside what the model says about this machine."""
        cost, fastest = step_cost(machine, *self._operations), self._fastest
        gflops = cost.flops / fastest / 1e9
        return Point(self.curve.title, self.at, fastest, cost.seconds, cost.roofline, gflops)


def measure(say: Callable[[str], None], axes: Collection[str], rounds: int) -> list[Point]:
    """Every point of the curves along these axes. Threads are restored afterwards."""
    everything = fn.get_num_threads()
    runs = [
        _Run(curve, value, value if curve.threads else everything)
        for curve in CURVES if curve.axis in axes
        for value in curve.values if not curve.threads or value <= everything
    ]  # fmt: skip
    machines: dict[int, list[Machine]] = {run.threads: [] for run in runs}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for threads, found in machines.items():
            with fn.threads(threads):
                found.append(calibrate())
                for run in runs:
                    if run.threads == threads:
                        run.go(_BLOCK)
    points = [run.point(best(machines[run.threads])) for run in runs]
    for run, point in zip(runs, points, strict=True):
        say(
            f"{run.curve.title}, {run.curve.axis} {run.at}: {as_text(point.measured)} measured, "
            f"{as_text(point.predicted)} predicted ({point.error:+.0%})"
        )
    return points


def rows(points: list[Point]) -> list[dict[str, Any]]:
    """The points as JSON values."""
    return [asdict(point) | {"error": point.error} for point in points]


def markdown(points: list[Point]) -> str:
    """A table for every curve, and how far the predictions are off."""
    lines = ["# How the time of a training step grows", "", "Made by `fastnn growth`: SGD with momentum, float32.", ""]
    for curve, own in _by_curve(points):
        lines += [f"## {curve.title}", "", f"| {curve.axis} | step | predicted | off by | roofline | GFLOP/s |"]
        lines += ["|---:|---:|---:|---:|---:|---:|"]
        lines += [
            f"| {p.at} | {as_text(p.measured)} | {as_text(p.predicted)} | {p.error:+.0%} | {as_text(p.roofline)} "
            f"| {p.gflops:.0f} |"
            for p in own
        ] + [""]  # fmt: skip
    return "\n".join([*lines, judgement(points)]) + "\n"


def judgement(points: list[Point]) -> str:
    """How far the predictions are off, in a sentence."""
    errors = sorted(abs(point.error) for point in points)
    inside = sum(error <= 0.2 for error in errors)
    return (
        f"{inside} of {len(points)} predictions are within 20 % of the measured time; the median is off by "
        f"{statistics.median(errors):.0%}, the worst by {errors[-1]:.0%}."
    )


def png(points: list[Point]) -> bytes:
    """Small multiples, log-log: measured points, the prediction, and the roofline. Needs matplotlib."""
    with _figure.look():
        return _figure.png(_chart(points))


def _chart(points: list[Point]) -> Figure:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    curves = list(_by_curve(points))
    figure = _figure.figure(12, 7)
    axes = figure.subplots(2, -(-len(curves) // 2)).flat
    for panel, (curve, own) in zip(axes, curves, strict=False):
        at = [p.at for p in own]
        panel.fill_between(at, [1e3 * p.roofline for p in own], 1e-9, color=_figure.PALE, lw=0)
        panel.plot(at, [1e3 * p.roofline for p in own], color=_figure.SOFT, lw=1, label="roofline")
        panel.plot(at, [1e3 * p.predicted for p in own], color=_figure.RED, lw=1.5, ls="--", label="predicted")
        panel.plot(at, [1e3 * p.measured for p in own], "o-", color=_figure.BLUE, ms=5, lw=1.5, label="measured")
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        shown = [seconds for p in own for seconds in (p.measured, p.predicted)]
        panel.set_ylim(0.6e3 * min(*shown, *(p.roofline for p in own)), 1.7e3 * max(shown))
        panel.xaxis.set_major_locator(FixedLocator(at))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))  # some in less than a decade, too
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.set_title(curve.title)
        panel.set_xlabel(curve.axis)
        panel.set_ylabel("ms per step")
        panel.grid()
    axes[0].legend()
    figure.suptitle("Time of a training step (grey: what FMA peak and memory forbid without Winograd)")
    return figure


def _by_curve(points: list[Point]) -> Iterator[tuple[Curve, list[Point]]]:
    for curve in CURVES:
        own = [point for point in points if point.curve == curve.title]
        if own:
            yield curve, own
