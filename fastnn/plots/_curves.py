"""Loss and accuracy over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.plots import _figure

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OWN = "plots.curves"
_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
_MARKED = 30  # epochs: points are drawn up to here
_LOG_FROM = 20.0  # largest loss by smallest


def curves(history: Any, path: str | PathLike[str] | None = None, *, best: int | None = None) -> Figure:
    """Loss and accuracy of the training and, where there is one, of the validation.

    history: what `fit` returned, or rows as in its `rows()` (or read from history.csv): epoch, loss, accuracy,
    val_loss, val_accuracy. best: the epoch to mark, counted as in the rows; None takes the one of the highest
    validation accuracy (the lowest validation loss where there is no accuracy), and marks none without validation.
    """
    rows = _rows(history)
    epochs = [row["epoch"] for row in rows]
    if best is None:
        best = _best(rows)
    elif best not in epochs:
        raise ValueError(f"{_OWN}: best must be one of the epochs, {epochs[0]:g} to {epochs[-1]:g}, got {best}")
    names = [name for name in ("loss", "accuracy") if any(map(math.isfinite, _column(rows, name)))]
    with _figure.look():
        figure = _figure.figure(4.6 * len(names), 3.4)
        for panel, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            _panel(panel, rows, name, best)
        figure.axes[0].legend(loc="best")
        return _figure.saved(figure, path)


def _rows(history: Any) -> Sequence[Mapping[str, float]]:
    rows = history.rows() if hasattr(history, "rows") else history
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(f"{_OWN}: history must be what fit returned, or its rows, got {type(history).__name__}")
    if not rows:
        raise ValueError(f"{_OWN}: history must hold an epoch, got none")
    for name in ("epoch", "loss"):
        if any(name not in row for row in rows):
            raise ValueError(f"{_OWN}: history must have {name} in every row, got {', '.join(rows[0])}")
    checked = [{name: _number(name, row[name]) for name in _COLUMNS if name in row} for row in rows]
    if not any(map(math.isfinite, _column(checked, "loss"))):
        raise ValueError(f"{_OWN}: history must have a loss that is finite, got none")
    return checked


def _number(name: str, value: Any) -> float:
    return float(_checks.numeric(_OWN, name, value))


def _column(rows: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [row.get(name, math.nan) for row in rows]


def _best(rows: Sequence[Mapping[str, float]]) -> int | None:
    for name, sign in (("val_accuracy", -1), ("val_loss", 1)):
        found = [(sign * row[name], row["epoch"]) for row in rows if math.isfinite(row.get(name, math.nan))]
        if found:
            return int(min(found)[1])
    return None


def _panel(panel: Axes, rows: Sequence[Mapping[str, float]], name: str, best: int | None) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

    epochs, training, validation = (_column(rows, column) for column in ("epoch", name, f"val_{name}"))
    marker = "o" if len(rows) <= _MARKED else ""
    panel.plot(epochs, training, marker=marker, ms=3, lw=1.5, color=_figure.SOFT, label="training")
    if any(map(math.isfinite, validation)):
        panel.plot(epochs, validation, marker=marker, ms=3.5, lw=1.8, color=_figure.BLUE, label="validation")
    if best is not None:
        row = next(row for row in rows if row["epoch"] == best)
        value = row.get(f"val_{name}", row.get(name, math.nan))
        panel.axvline(best, color=_figure.RED, lw=0.8, alpha=0.5, zorder=1)
        panel.plot([best], [value], "o", ms=7, color=_figure.RED, mec="white", mew=1.2, zorder=4, label="best epoch")
        text = f"{value:.3g}" if name == "loss" else f"{value:.2%}"
        panel.set_title(f"{text} in epoch {best}", loc="right", color=_figure.RED)
    panel.set_title(name.capitalize(), loc="left", weight="bold")
    panel.set_xlabel("epoch")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(rows) == 1:
        panel.set_xlim(epochs[0] - 1, epochs[0] + 1)
        panel.set_xticks(epochs)
    finite = [value for value in training + validation if math.isfinite(value)]
    if name == "accuracy":
        panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None, symbol="%"))
    elif min(finite) > 0 and max(finite) / min(finite) > _LOG_FROM:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
    panel.grid(axis="y")
