"""Learning rates that are set between epochs. For rates that change with every step see `fastnn.schedules`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastnn import _checks
from fastnn.callbacks._base import Callback
from fastnn.callbacks._monitor import Monitor
from fastnn.schedules import Schedule

if TYPE_CHECKING:
    from fastnn.optimizers import Optimizer


class _RateSetter(Callback):
    """Sets the optimizer's `learning_rate`, and adds the one in use to the epoch's row as `learning_rate`."""

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Refuse an optimizer with a schedule, which sets the rate already."""
        self._rate()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Add the rate to the row."""
        logs["learning_rate"] = self._rate()

    def _rate(self) -> float:
        optimizer: Optimizer = self.model.optimizer
        if isinstance(optimizer.learning_rate, Schedule):
            own, schedule = type(self).__name__, type(optimizer.learning_rate).__name__
            raise TypeError(f"{own}: the optimizer's learning_rate must be a number, got the schedule {schedule}")
        return optimizer.learning_rate


class LearningRateScheduler(_RateSetter):
    """Sets the learning rate before every epoch to schedule(epoch, learning_rate), or to schedule(epoch).

    epoch counts from 0; learning_rate is the present one. verbose: print each.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler: schedule must be a function, got {type(schedule).__name__}")
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        """Set the rate."""
        rate = self.schedule(epoch, self._rate()) if self._takes_rate else self.schedule(epoch)
        rate = _checks.number("LearningRateScheduler", "what schedule returns", rate, minimum=0)
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            print(f"epoch {epoch + 1}: learning rate {rate:g}")


class ReduceLROnPlateau(_RateSetter):
    """Multiplies the learning rate by `factor` when `monitor` has not become better for `patience` epochs.

    factor: above 0 and below 1. mode: "auto" ("max" for an accuracy, else "min"), "min" or "max". min_delta: a smaller
    change is none. cooldown: so many epochs after a reduction are not counted. min_lr: no rate below it. verbose:
    print each reduction.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        own = "ReduceLROnPlateau"
        self._monitor = Monitor(own, monitor, mode, min_delta)
        self.factor = _checks.number(own, "factor", factor, above=0, below=1)
        self.patience = _checks.integer(own, "patience", patience, 0)
        self.verbose = verbose
        self.cooldown = _checks.integer(own, "cooldown", cooldown, 0)
        self.min_lr = _checks.number(own, "min_lr", min_lr, minimum=0)
        self.best: float | None = None
        self._wait = self._cooling = 0

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Begin anew."""
        super().on_train_begin(logs)
        self._monitor.check(logs)
        self.best = None
        self._wait = self._cooling = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Compare, and reduce the rate if it is time."""
        value = self._monitor.value(logs)
        super().on_epoch_end(epoch, logs)
        if self._cooling:
            self._cooling -= 1
            self._wait = 0
        if self._monitor.is_better(value, self.best):
            self.best = value
            self._wait = 0
        elif not self._cooling:
            self._wait += 1
            if self._wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        rate = self._rate()
        if rate > self.min_lr:
            self.model.optimizer.learning_rate = reduced = max(rate * self.factor, self.min_lr)
            self._cooling, self._wait = self.cooldown, 0
            if self.verbose:
                print(f"epoch {epoch + 1}: learning rate reduced from {rate:g} to {reduced:g}")


def _takes_two(function: Callable[..., float]) -> bool:
    try:
        inspect.signature(function).bind(0, 0.0)
    except (TypeError, ValueError):  # one argument, or a built-in that does not tell
        return False
    return True
