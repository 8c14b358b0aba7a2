"""How a training shows itself: a bar where there is a terminal, one plain line an epoch everywhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from fastnn.callbacks import Callback

_REFRESH = 0.2  # seconds between two looks of the bar: drawing it costs a few milliseconds


@contextmanager
def progress(validates: str) -> Iterator[Callback]:
    """The callback to give to `fit`; the terminal is as it was when the context ends.

    validates: what the second loss and accuracy are of, "test" or "validation".
    """
    if not sys.stdout.isatty():
        yield EpochLines(validates)
        return
    bar = ProgressBar(validates)
    try:
        yield bar
    finally:
        bar.close()


class EpochLines(Callback):
    """One line an epoch: loss and accuracy of both sets, images per second."""

    epochs = 0
    samples = 0

    def __init__(self, validates: str) -> None:
        self._validates = validates

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Remember the size of the work."""
        self.epochs = int(logs["epochs"])
        self.samples = int(logs["samples"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Write the epoch's line."""
        click.echo(self.line(epoch, logs))

    def line(self, epoch: int, logs: dict[str, float]) -> str:
        """The epoch's numbers in words."""
        return (
            f"epoch {epoch + 1}/{self.epochs}  loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.2%}  "
            f"{self._validates} loss {logs['val_loss']:.4f}  {self._validates} accuracy {logs['val_accuracy']:.2%}  "
            f"{logs['seconds']:.1f} s"
        )


class ProgressBar(EpochLines):
    """The bar of the whole training: epoch, images per second, loss, accuracy and the time left.

    It is drawn from `on_batch_end`, without a thread of its own that would take time from the kernels.
    """

    def __init__(self, validates: str) -> None:
        super().__init__(validates)
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.fields[speed]} images/s"),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("accuracy {task.fields[accuracy]}"),
            TimeRemainingColumn(),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", epoch="", speed="-", loss="-", accuracy="-")
        self._drawn = self._began = 0.0
        self._done = self._epoch_done = 0

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Show the empty bar."""
        super().on_train_begin(logs)
        self._bar.update(self._task, total=self.epochs * self.samples)
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        """Start the epoch's clock."""
        self._began = time.perf_counter()
        self._epoch_done = 0
        self._bar.update(self._task, epoch=f"{epoch + 1}/{self.epochs}", refresh=True)

    def on_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Redraw the bar when the last drawing is old enough."""
        self._done += int(logs["size"])
        self._epoch_done += int(logs["size"])
        now = time.perf_counter()
        if now - self._drawn < _REFRESH:
            return
        self._drawn = now
        self._bar.update(
            self._task,
            completed=self._done,
            speed=f"{self._epoch_done / (now - self._began):,.0f}",
            loss=f"{logs['loss']:.4f}",
            accuracy=f"{logs['accuracy']:.2%}",
            refresh=True,
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Write the epoch's line above the bar."""
        self._bar.console.print(self.line(epoch, logs), highlight=False)
