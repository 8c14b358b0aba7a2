"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn import metrics
from fastnn._typing import Array, ArrayLike
from fastnn.plots import _figure

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Up to so many classes: inches of a cell, and points of its count. Counts of more classes would be unreadable.
_SIZES = ((4, 0.75, 10.0), (12, 0.5, 9.0), (30, 0.36, 7.0), (60, 0.25, 5.5), (120, 0.185, 4.0))
_WIDEST = 20.0  # inches of a matrix of more classes
_POWER = 0.4  # of the share: rare errors are seen too
_SHARES = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)


def confusion(
    counts: ArrayLike, class_names: Sequence[str] | None = None, path: str | PathLike[str] | None = None
) -> Figure:
    """A confusion matrix (C, C), row = true class, column = predicted: counts as numbers, shares of the row as colour.

    Right predictions are blue, wrong ones red, on a scale that shows rare errors too. Above 120 classes the counts are
    left out. class_names: C words, else the class numbers.
    """
    own = "plots.confusion"
    table = metrics.checked_counts(own, counts)
    names = _figure.names(own, class_names, len(table))
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    cell, points = next(((c, p) for most, c, p in _SIZES if len(table) <= most), (_WIDEST / len(table), 0.0))
    with _figure.look():
        side = cell * len(table)
        step, letters, turned = _lettering(names, cell)
        figure, axes = _square(side, names, turned)
        axes.imshow(_colours(shares, np.eye(len(table), dtype=bool)), interpolation="nearest")
        if points:
            for (row, column), count in np.ndenumerate(table):
                if count:
                    colour = "white" if shares[row, column] > 0.3 else _figure.INK
                    axes.text(column, row, str(count), ha="center", va="center", fontsize=points, color=colour)
        _label(axes, names, step, letters, turned)
        _legend(axes, side)
        right = table.trace() / table.sum()
        axes.set_title(f"{right:.2%} of {table.sum():,} right", loc="left", weight="bold")
        return _figure.saved(figure, path)


def _lettering(names: Sequence[str], cell: float) -> tuple[int, float, bool]:
    """Every how many classes one is named, in how many points, and whether the names below stand upright."""
    step = max(1, round(0.1 / cell))  # inches of a line of text
    points = min(8.0, 72 * cell * step * 0.62)
    return step, points, 0.0085 * points * max(map(len, names)) > cell


def _square(side: float, names: Sequence[str], turned: bool) -> tuple[Figure, Axes]:
    """Axes of side inches, with room for the names around: so a count fits its cell whatever the names are."""
    room = 0.072 * max(map(len, names))
    left, bottom, right, top = room + 0.5, 0.5 + (room if turned else 0.1), 1.3, 0.4
    width, height = left + side + right, bottom + side + top
    figure = _figure.figure(width, height, layout=None)
    return figure, figure.add_axes((left / width, bottom / height, side / width, side / height))


def _colours(shares: Array, right: Array) -> Array:
    """RGB for every cell."""
    depth = shares**_POWER
    blue, red = _figure.shades(_figure.BLUE)(depth), _figure.shades(_figure.RED)(depth)
    return np.where(right[..., None], blue, red)[..., :3]


def _label(axes: Axes, names: Sequence[str], step: int, points: float, turned: bool) -> None:
    at = range(0, len(names), step)
    axes.set_xticks(at, [names[i] for i in at], fontsize=points, rotation=90 if turned else 0)
    axes.set_yticks(at, [names[i] for i in at], fontsize=points)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=_figure.FAINT, lw=0.5)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_axisbelow(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


def _legend(axes: Axes, side: float) -> None:
    """Both colours beside each other, over one scale of shares; side: inches of the matrix."""
    height = min(side, 4.0) / side
    bar = axes.inset_axes((1 + 0.2 / side, 1 - height, 0.28 / side, height))
    shares = np.linspace(0, 1, 256)[:, None].repeat(2, axis=1) ** (1 / _POWER)
    colours = _colours(shares, np.array([[True, False]]))
    bar.imshow(colours, origin="lower", aspect="auto", extent=(0, 2, 0, 1), interpolation="nearest")
    bar.set_xticks([0.5, 1.5], ["right", "wrong"], fontsize=7, rotation=90)
    bar.yaxis.tick_right()
    bar.yaxis.set_label_position("right")
    bar.set_yticks(np.power(_SHARES, _POWER), [f"{share:.0%}" for share in _SHARES], fontsize=7)
    bar.set_ylabel("share of the true class", fontsize=8)
    bar.tick_params(length=0)
    for spine in bar.spines.values():
        spine.set_visible(False)
