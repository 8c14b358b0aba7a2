"""Learning rates that change with the step. A schedule has `rate(step)`; step counts updates from 0.

Where a length is None, `fit` sets it before it starts, through `plan`: an epoch is what fit's epoch is, a
whole run is what is left of fit's steps. Used outside fit, such a schedule raises RuntimeError until it is
planned.
"""

from __future__ import annotations

from math import cos, pi

from fastnn import _checks


class Schedule:
    """Base class: define `rate`, and `plan` where the length of an epoch or of the run matters."""

    def rate(self, step: int) -> float:
        """Learning rate of update number step, from 0."""
        raise TypeError(f"{type(self).__name__} must define rate")

    def plan(self, total_steps: int, steps_per_epoch: int, first_step: int = 0) -> None:
        """Take the lengths that the constructor left open, for a run that begins at step first_step."""


class Constant(Schedule):
    """learning_rate at every step."""

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = _checks.number("Constant", "learning_rate", learning_rate, minimum=0)

    def rate(self, step: int) -> float:
        return self.learning_rate


class InverseTime(Schedule):
    """learning_rate / (1 + decay * step)."""

    def __init__(self, learning_rate: float, decay: float) -> None:
        self.learning_rate = _checks.number("InverseTime", "learning_rate", learning_rate, minimum=0)
        self.decay = _checks.number("InverseTime", "decay", decay, minimum=0)

    def rate(self, step: int) -> float:
        return self.learning_rate / (1 + self.decay * step)


class _PerEpoch(Schedule):
    """Changes between epochs, which are steps_per_epoch steps long."""

    def __init__(self, steps_per_epoch: int | None) -> None:
        own = type(self).__name__
        self._fixed = steps_per_epoch is not None
        self.steps_per_epoch = _checks.optional_integer(own, "steps_per_epoch", steps_per_epoch, 1)

    def plan(self, total_steps: int, steps_per_epoch: int, first_step: int = 0) -> None:
        if not self._fixed:
            self.steps_per_epoch = _checks.integer(type(self).__name__, "steps_per_epoch", steps_per_epoch, 1)

    def _epoch(self, step: int) -> int:
        if self.steps_per_epoch is None:
            raise RuntimeError(f"{type(self).__name__}: steps_per_epoch is open; pass it, or train with fit")
        return step // self.steps_per_epoch


class Exponential(_PerEpoch):
    """learning_rate * factor ** epoch, epoch from 0; the default factor takes 5 % off an epoch."""

    def __init__(self, learning_rate: float, factor: float = 0.95, steps_per_epoch: int | None = None) -> None:
        super().__init__(steps_per_epoch)
        self.learning_rate = _checks.number("Exponential", "learning_rate", learning_rate, minimum=0)
        self.factor = _checks.number("Exponential", "factor", factor, above=0)

    def rate(self, step: int) -> float:
        return float(self.learning_rate * self.factor ** self._epoch(step))


class Step(_PerEpoch):
    """learning_rate * factor ** (epoch // every), epoch from 0."""

    def __init__(
        self, learning_rate: float, every: int = 10, factor: float = 0.1, steps_per_epoch: int | None = None
    ) -> None:
        super().__init__(steps_per_epoch)
        self.learning_rate = _checks.number("Step", "learning_rate", learning_rate, minimum=0)
        self.every = _checks.integer("Step", "every", every, 1)
        self.factor = _checks.number("Step", "factor", factor, above=0)

    def rate(self, step: int) -> float:
        return float(self.learning_rate * self.factor ** (self._epoch(step) // self.every))


class _WholeRun(Schedule):
    """Runs once over total_steps steps and then stays at its last rate."""

    def __init__(self, total_steps: int | None) -> None:
        own = type(self).__name__
        self._fixed = total_steps is not None
        self.total_steps = _checks.optional_integer(own, "total_steps", total_steps, 1)
        self.first_step = 0

    def plan(self, total_steps: int, steps_per_epoch: int, first_step: int = 0) -> None:
        if not self._fixed:
            self.total_steps = _checks.integer(type(self).__name__, "total_steps", total_steps, 1)
            self.first_step = first_step

    def _done(self, step: int) -> float:
        """Share of the run that lies behind: 0 at its first step, 1 at its last."""
        if self.total_steps is None:
            raise RuntimeError(f"{type(self).__name__}: total_steps is open; pass it, or train with fit")
        return min(max(step - self.first_step, 0) / max(self.total_steps - 1, 1), 1.0)


class Cosine(_WholeRun):
    """Half a cosine from learning_rate to final (Loshchilov & Hutter, arXiv:1608.03983, no restarts)."""

    def __init__(self, learning_rate: float, total_steps: int | None = None, final: float = 0.0) -> None:
        super().__init__(total_steps)
        self.learning_rate = _checks.number("Cosine", "learning_rate", learning_rate, minimum=0)
        self.final = _checks.number("Cosine", "final", final, minimum=0)

    def rate(self, step: int) -> float:
        return _cosine(self.learning_rate, self.final, self._done(step))


class OneCycle(_WholeRun):
    """Up from learning_rate / start_divisor to learning_rate in the share warmup of the run, then down to
    learning_rate / (start_divisor * final_divisor), both along half a cosine (Smith 2018, arXiv:1708.07120;
    the defaults are those of PyTorch's OneCycleLR).
    """

    def __init__(
        self,
        learning_rate: float,
        total_steps: int | None = None,
        warmup: float = 0.3,
        start_divisor: float = 25.0,
        final_divisor: float = 1e4,
    ) -> None:
        super().__init__(total_steps)
        self.learning_rate = _checks.number("OneCycle", "learning_rate", learning_rate, minimum=0)
        self.warmup = _checks.number("OneCycle", "warmup", warmup, minimum=0, below=1)
        self.start_divisor = _checks.number("OneCycle", "start_divisor", start_divisor, above=0)
        self.final_divisor = _checks.number("OneCycle", "final_divisor", final_divisor, above=0)

    def rate(self, step: int) -> float:
        done = self._done(step)
        start = self.learning_rate / self.start_divisor
        if done < self.warmup:
            return _cosine(start, self.learning_rate, done / self.warmup)
        return _cosine(self.learning_rate, start / self.final_divisor, (done - self.warmup) / (1 - self.warmup))


class WarmUp(Schedule):
    """Linear warm-up before any schedule: steps steps from rate / (steps + 1) upwards, then the schedule's
    own.

    The schedule's steps, epochs and run count from the end of the warm-up. then: a schedule or a number.
    """

    def __init__(self, then: Schedule | float, steps: int) -> None:
        self.then = get("WarmUp", "then", then)
        self.steps = _checks.integer("WarmUp", "steps", steps, 1)

    def rate(self, step: int) -> float:
        if step < self.steps:
            return self.then.rate(0) * (step + 1) / (self.steps + 1)
        return self.then.rate(step - self.steps)

    def plan(self, total_steps: int, steps_per_epoch: int, first_step: int = 0) -> None:
        end = first_step + total_steps
        first = max(first_step - self.steps, 0)
        self.then.plan(max(end - self.steps - first, 1), steps_per_epoch, first)


def get(owner: str, name: str, value: object) -> Schedule:
    """Schedule from a schedule or a constant rate."""
    return value if isinstance(value, Schedule) else Constant(_checks.number(owner, name, value, minimum=0))


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + cos(pi * done)) / 2
