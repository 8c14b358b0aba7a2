"""Ends of a training before its last epoch: no progress, or a loss that is no number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _checks
from fastnn.callbacks._base import Callback
from fastnn.callbacks._monitor import Monitor

if TYPE_CHECKING:
    from fastnn._typing import Array
    from fastnn.errors import DivergenceError


class EarlyStopping(Callback):
    """Ends the training when `monitor` has not become better for `patience` epochs.

    monitor: loss, accuracy, val_loss or val_accuracy. min_delta: a smaller change is none. mode: "auto" ("max" for an
    accuracy, else "min"), "min" or "max". baseline: only what is better than this counts as progress.
    restore_best_weights: when the training ends, early or not, the model gets the weights of its best epoch (with batch
    norm's statistics) instead of the last ones. start_from_epoch: epochs before this one, from 0, are not looked at.
    verbose: say so when it stops.

    Attributes: `best`, `best_epoch` and `stopped_epoch` (from 0; None if it did not stop the training).
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        own = "EarlyStopping"
        self._monitor = Monitor(own, monitor, mode, min_delta)
        self.patience = _checks.integer(own, "patience", patience, 0)
        self.verbose = verbose
        self.baseline = None if baseline is None else _checks.number(own, "baseline", baseline)
        self.restore_best_weights = _checks.flag(own, "restore_best_weights", restore_best_weights)
        self.start_from_epoch = _checks.integer(own, "start_from_epoch", start_from_epoch, 0)
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._weights: dict[str, Array] = {}
        self._wait = 0

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Begin anew."""
        self._monitor.check(logs)
        self._forget()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Compare, remember, or stop."""
        value = self._monitor.value(logs)
        if epoch < self.start_from_epoch:
            return
        self._wait += 1
        if self._monitor.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._keep()
            if self.baseline is None or self._monitor.is_better(value, self.baseline):
                self._wait = 0
        elif self._wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Give the best weights back."""
        if self.verbose and self.stopped_epoch is not None:
            print(f"epoch {self.stopped_epoch + 1}: early stopping, best {self._monitor.name} {self.best:.4f}")
        if self._weights:
            self.model.set_weights(self._weights)
            self._weights = {}

    def _keep(self) -> None:
        if not self._weights:
            self._weights = {name: a.copy() for name, a in self.model.weights().items()}
            return
        for name, a in self.model.weights().items():
            self._weights[name][...] = a


class TerminateOnNaN(Callback):
    """Ends the training quietly when the loss becomes NaN or infinite.

    `fit` stops at once in any case, with the last good weights put back and the optimizer's memory forgotten; without
    this callback it then raises DivergenceError. Attribute: `error`, that error, or None.
    """

    error: DivergenceError | None = None

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Begin anew."""
        self.error = None

    def on_divergence(self, error: DivergenceError) -> bool:
        """Say what happened, on stdout, and go on after fit."""
        self.error = error
        self.model.stop_training = True
        print(error)
        return True
