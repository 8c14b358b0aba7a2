"""The folder of a run. Each of its files is written in one piece, as soon as there is something to write."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from fastnn import _files, _system
from fastnn.callbacks import Callback
from fastnn.errors import DivergenceError
from fastnn.settings import Settings

SETTINGS_FILE = "config.toml"
ENVIRONMENT_FILE = "environment.json"
HISTORY_FILE = "history.csv"
MODEL_FILE = "model.safetensors"
LAST_FILE = "last.safetensors"


class Best(Callback):
    """Remembers the weights of the best epoch: highest validation accuracy, then lowest validation loss.

    Attributes: `epoch`, from 1, 0 before there is one; `row`, what its history has; `is_new`, whether the newest
    epoch is the best; `error`, what ended the training, if it diverged.
    """

    def __init__(self) -> None:
        self.error: DivergenceError | None = None
        self.epoch = 0
        self.row: dict[str, float] = {}
        self.is_new = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Compare."""
        self.is_new = not self.row or _rank(logs) > _rank(self.row)
        if self.is_new:
            self.epoch, self.row = epoch + 1, dict(logs)
            self._weights = {name: a.copy() for name, a in self.model.weights().items()}

    def on_divergence(self, error: DivergenceError) -> bool:
        """Remember why."""
        self.error = error
        return False

    def restore(self) -> None:
        """Give the model the best epoch's weights. Raises DivergenceError where the first epoch diverged."""
        if not self.epoch and self.error is not None:
            raise self.error
        self.model.set_weights(self._weights)


class RunFolder(Callback):
    """Writes settings and machine at once, models and history after every epoch: an interrupted run keeps what it has
    reached.

    best: goes before this one in fit's callbacks. OSError where the folder cannot be made.
    """

    def __init__(self, folder: Path, settings: Settings, best: Best) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.settings, self.best = folder, settings, best
        self.rows: list[dict[str, float]] = []

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Write config.toml and environment.json."""
        self.settings.write(self.folder / SETTINGS_FILE)
        environment = _system.environment(self.settings.training.backend)
        _files.replace(self.folder / ENVIRONMENT_FILE, json.dumps(environment, indent=2) + "\n")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Write history.csv, last.safetensors and, where this epoch is the best, model.safetensors."""
        self.rows.append({"epoch": epoch + 1, **logs})
        if self.best.is_new:
            self.model.save(self.folder / MODEL_FILE)
        self.save_last()
        text = io.StringIO()
        table = csv.DictWriter(text, fieldnames=list(self.rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        _files.replace(self.folder / HISTORY_FILE, text.getvalue())

    def save_last(self) -> None:
        """Write last.safetensors, the weights as they are now."""
        self.model.save(self.folder / LAST_FILE)


def _rank(row: dict[str, float]) -> tuple[float, float]:
    return row["val_accuracy"], -row["val_loss"]
