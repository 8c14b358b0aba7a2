"""Model files written while the training goes on."""

from __future__ import annotations

import os
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from fastnn import _checks
from fastnn.callbacks._base import Callback
from fastnn.callbacks._monitor import Monitor

if TYPE_CHECKING:
    from os import PathLike


class ModelCheckpoint(Callback):
    """Saves the model, as `Sequential.save` does, after every epoch or every `save_freq` batches.

    filepath: may hold fields like `{epoch:02d}` (from 1), `{batch}` (from 1; with a number as save_freq) and
    `{val_loss:.2f}`, any number of the epoch's row; folders are made. save_best_only: only when `monitor` has become
    better, also than initial_value_threshold if that is given. mode: "auto" ("max" for an accuracy, else "min"), "min"
    or "max". save_freq: "epoch", or a number of batches; then loss and accuracy of the epoch so far are what there is
    to monitor. verbose: name every file. A second `fit` goes on with the best value of the first.

    Attributes: `best`; `last_path`, the file written last, or None.
    """

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        *,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        own = "ModelCheckpoint"
        self.filepath = os.fspath(filepath)
        try:
            self._fields = [name for _, name, _, _ in Formatter().parse(self.filepath) if name is not None]
        except ValueError as error:
            wanted = "a path with {fields}"
            raise ValueError(f"{own}: filepath must be {wanted}, got {self.filepath!r}: {error}") from None
        self._monitor = Monitor(own, monitor, mode)
        self.verbose = verbose
        self.save_best_only = _checks.flag(own, "save_best_only", save_best_only)
        if isinstance(save_freq, str):
            _checks.choice(own, "save_freq", save_freq, ("epoch",))
        else:
            save_freq = _checks.integer(own, "save_freq", save_freq, 1)
            self.on_batch_end = self._count_batch  # type: ignore[method-assign]  # else steps run in blocks
        self.save_freq = save_freq
        if initial_value_threshold is not None:
            initial_value_threshold = _checks.number(own, "initial_value_threshold", initial_value_threshold)
        self.best = initial_value_threshold
        self.last_path: Path | None = None
        self._epoch = self._batches = 0

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Refuse what would fail after the first epoch only."""
        self._batches = 0
        if self.save_best_only:
            self._monitor.check(logs)
        if not logs["validation_samples"]:
            for name in {"val_loss", "val_accuracy"}.intersection(self._fields):
                raise ValueError(f"ModelCheckpoint: filepath must not have {{{name}}} without validation data")

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        """Remember the number of the epoch."""
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Save, unless batches are counted."""
        if self.save_freq == "epoch":
            self._save({"epoch": epoch + 1, **logs}, logs)

    def _count_batch(self, batch: int, logs: dict[str, float]) -> None:
        self._batches += 1
        if self._batches == self.save_freq:
            self._batches = 0
            means = {"loss": logs["loss"], "accuracy": logs["accuracy"]}
            self._save({"epoch": self._epoch + 1, "batch": batch + 1, **means}, means)

    def _save(self, fields: dict[str, float], logs: dict[str, float]) -> None:
        if self.save_best_only:
            value = self._monitor.value(logs)
            if not self._monitor.is_better(value, self.best):
                return
            self.best = value
        try:
            path = Path(self.filepath.format(**fields))
        except (KeyError, IndexError, ValueError) as error:
            known = ", ".join(fields)
            raise ValueError(
                f"ModelCheckpoint: filepath must have fields of {known}, got {self.filepath!r}: {error}"
            ) from None
        path.parent.mkdir(parents=True, exist_ok=True)
        self.model.save(path)
        self.last_path = path
        if self.verbose:
            print(f"epoch {self._epoch + 1}: saved {path}")
