"""The folder of a run, written so that a reader, or a crash, never meets half a file."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import click

from fastnn.callbacks import Callback

MODEL_FILE = "model.safetensors"
HISTORY_FILE = "history.csv"


class RunFolder(Callback):
    """Writes the model and the history after every epoch: an interrupted run keeps what it has reached."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.rows: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Write both files."""
        self.rows.append({"epoch": epoch + 1, **logs})
        self.model.save(self.folder / MODEL_FILE)
        text = io.StringIO()
        table = csv.DictWriter(text, fieldnames=list(self.rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        _replace(self.folder / HISTORY_FILE, text.getvalue())


def prepare(backend: str, threads: int | None) -> None:
    """Set the number of threads, and say so when the first step has to wait for the compiler."""
    if backend != "numba":
        return
    from fastnn import _system, _threads

    if threads is not None:
        _threads.set_num_threads(threads)
    if not _system.kernels_cached():
        click.echo("compiling kernels (once)")


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
