"""What commands share around a run: where it goes, how it begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastnn._folder import HISTORY_FILE, MODEL_FILE
from fastnn.callbacks import Callback

if TYPE_CHECKING:
    from fastnn.run import Data
    from fastnn.settings import Settings

__all__ = ["HISTORY_FILE", "MODEL_FILE", "Announcement", "prepare", "run_folder", "title"]


class Announcement(Callback):
    """One line on what is trained, and on what."""

    def __init__(self, settings: Settings, data: Data) -> None:
        self._settings, self._data = settings, data

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Write the line, and say so when the first step has to wait for the compiler."""
        data = self._data
        sizes = [f"{len(data.training[0]):,} training"]
        if data.validation is not None:
            sizes.append(f"{len(data.validation[0]):,} validation")
        click.echo(
            f"{self._settings.network.name} on {self._settings.data.dataset}: {', '.join(sizes)} and "
            f"{len(data.test[0]):,} test {data.things}, {self.model.parameters.size:,} parameters, "
            f"{logs['epochs']} epoch{'s' * (logs['epochs'] > 1)}, batch {logs['batch_size']}"
        )
        prepare(self._settings.training.backend, None)


def prepare(backend: str, threads: int | None) -> None:
    """Set the number of threads, and say so when the first step has to wait for the compiler."""
    if backend != "numba":
        return
    from fastnn import _system, _threads

    if threads is not None:
        _threads.set_num_threads(threads)
    if not _system.kernels_cached():
        click.echo("compiling kernels (once)")


def title(settings: Settings, recipe: str | None) -> str:
    """What a run's folder is called: DATASET-MODEL, or DATASET-RECIPE."""
    return f"{Path(settings.data.dataset).resolve().stem}-{recipe or settings.network.name}"


@contextmanager
def run_folder(out: Path | None, title: str) -> Iterator[Path]:
    """out, else a new folder: runs/<title>-<n> with the first number that nobody has taken.

    A new one in which nothing is written, because the training could not begin, is removed again.
    """
    if out is not None:
        yield out
        return
    folder = _new(title)
    try:
        yield folder
    finally:
        with suppress(OSError):  # it holds files
            folder.rmdir()


def _new(title: str) -> Path:
    for n in count(1):
        folder = Path("runs") / f"{title}-{n}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("count() ends never")
