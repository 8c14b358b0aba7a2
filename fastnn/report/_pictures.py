"""The pictures of an evaluation, and those that a training leaves in its folder."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn import plots
from fastnn._typing import ArrayLike
from fastnn.errors import DataError

if TYPE_CHECKING:
    from fastnn.model import Sequential
    from fastnn.report._evaluation import Evaluation

Draw = Callable[[Path], object]


def read_history(path: str | PathLike[str]) -> list[dict[str, float]]:
    """The rows of a history.csv, for `plots.curves`. Raises DataError for a file that is none."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:  # a word, or a cell too few or too many
        raise DataError(f"{path}: no history: every cell must be a number") from error
    if not rows:
        raise DataError(f"{path}: no history: it has no row")
    return rows


def model_pictures(
    model: Sequential, history: Any, x: ArrayLike, found: Callable[[], Evaluation], best: int | None = None
) -> dict[str, Draw]:
    """What draws each file."""

    def confusion(path: Path) -> None:
        plots.confusion(found().confusion, found().class_names, path)

    def top_losses(path: Path) -> None:
        plots.top_losses(x, found().labels, found().probabilities, found().class_names, path=path)

    drawn: dict[str, Draw] = {
        "confusion.png": confusion,
        "top_losses.png": top_losses,
        "filters.png": lambda path: plots.filters(model, path),
    }
    if history is None:
        return drawn
    return {"curves.png": lambda path: plots.curves(history, path, best=best), **drawn}


def draw(folder: Path, pictures: Mapping[str, Draw]) -> tuple[list[str], list[str]]:
    """The files that were written, and a line for those that were not; an older file of such a name is taken away."""
    written: list[str] = []
    left_out: list[str] = []
    try:
        plots.require()
    except ModuleNotFoundError as error:
        left_out.append(f"without {', '.join(pictures)}: {error}")
        for name in pictures:
            (folder / name).unlink(missing_ok=True)
        return written, left_out
    for name, draw_it in pictures.items():
        try:
            draw_it(folder / name)
        except ValueError as error:
            left_out.append(f"without {name}: {error}")
            (folder / name).unlink(missing_ok=True)
        else:
            written.append(name)
    return written, left_out
