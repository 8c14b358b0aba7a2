"""The worst errors as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _checks, metrics
from fastnn._typing import Array, ArrayLike
from fastnn.plots import _figure, _images

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OWN = "plots.top_losses"
_COLUMNS = 6
_WIDTH, _GAP, _CAPTION, _TITLE, _EDGE = 1.43, 0.12, 0.46, 0.36, 0.12  # inches of a sample and of the words about it
_LONGEST = 17  # letters of a class name


def top_losses(
    x: ArrayLike,
    y_true: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str] | None = None,
    count: int = 18,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """The worst errors, worst first: the sample, what it was taken for, what it is, and the probability of both.

    x (N, ...): images (N, H, W), (N, H, W, C), or vectors; a vector of 8x8, 28x28, 32x32x3 ... values is shown as that
    image, another one as a line over its values. y_true: class numbers (N,) or one-hot (N, C); probabilities (N, C).
    Errors are ordered as by `metrics.worst_errors`. Without any error the picture says so.
    """
    samples = _checks.numeric(_OWN, "x", x)
    scores = _checks.array(_OWN, "probabilities", probabilities, np.dtype(np.float64), ("N", "C"))
    truth = _checks.labels(_OWN, "y_true", y_true, scores.shape[1], len(scores))
    if samples.ndim < 2 or len(samples) != len(scores):
        raise ValueError(f"{_OWN}: x must have shape ({len(scores)}, ...), got {samples.shape}")
    names = _figure.names(_OWN, class_names, scores.shape[1], _LONGEST)
    rows = metrics.worst_errors(truth, scores, count)
    wrong = int((scores.argmax(axis=1) != truth).sum())
    shown = samples[rows]
    images = _images.as_images(shown) if len(rows) else None
    with _figure.look():
        figure, panels = _grid(len(rows), 1.0 if images is None else images.shape[1] / images.shape[2])
        _title(figure, len(rows), wrong, len(truth))
        for place, (row, panel) in enumerate(zip(rows, panels, strict=True)):
            if images is None:
                _vector(panel, shown, place)
            else:
                panel.imshow(_images.displayed(images)[place].squeeze(), cmap="gray", vmin=0, vmax=1)
                _figure.bare(panel)
            _caption(panel, names, scores[row], int(truth[row]))
        return _figure.saved(figure, path)


def _title(figure: Figure, shown: int, wrong: int, samples: int) -> None:
    left, top = _EDGE / figure.get_figwidth(), 1 - _EDGE / figure.get_figheight()
    title = f"No error among {samples:,}"
    if wrong:
        which = f"The worst {shown} of {wrong:,} errors" if wrong > shown else f"{wrong} error{'s' * (wrong > 1)}"
        title = f"{which} among {samples:,}"
        legend = "red: predicted class, black: true class, each with its probability"
        figure.text(left, top - 0.18 / figure.get_figheight(), legend, fontsize=8, va="top", color=_figure.GREY)
    figure.text(left, top, title, weight="bold", fontsize=10, va="top")


def _grid(count: int, aspect: float) -> tuple[Figure, list[Axes]]:
    """Panels at fixed places: a layout engine would take longer than the drawing."""
    columns = min(_COLUMNS, max(count, 4))
    high = _WIDTH * min(max(aspect, 0.4), 2.5)
    width = 2 * _EDGE + columns * (_WIDTH + _GAP) - _GAP
    height = 2 * _EDGE + _TITLE + -(-count // columns) * (high + _CAPTION)
    figure = _figure.figure(width, height, layout=None)
    panels = []
    for place in range(count):
        line, column = divmod(place, columns)
        left, top = _EDGE + column * (_WIDTH + _GAP), _EDGE + _TITLE + (line + 1) * (high + _CAPTION)
        panels.append(figure.add_axes((left / width, 1 - top / height, _WIDTH / width, high / height)))
    return figure, panels


def _vector(panel: Axes, samples: Array, place: int) -> None:
    flat = samples.reshape(len(samples), -1)
    panel.plot(flat[place], color=_figure.BLUE, lw=1)
    panel.axhline(0, color=_figure.SOFT, lw=0.5, zorder=0)
    low, high = min(0.0, float(flat.min())), max(0.0, float(flat.max()))
    margin = 0.05 * (high - low) or 1.0
    panel.set_ylim(low - margin, high + margin)
    _figure.bare(panel)
    panel.set_facecolor(_figure.FAINT)


def _caption(panel: Axes, names: Sequence[str], scores: Array, truth: int) -> None:
    predicted = int(scores.argmax())
    for line, (number, colour) in enumerate(((predicted, _figure.RED), (truth, _figure.INK))):
        text = f"{names[number]}  {_percent(scores[number])}"
        panel.annotate(text, (0, 1), (0, 14 - 11 * line), xycoords="axes fraction", textcoords="offset points",
                       fontsize=8, color=colour)  # fmt: skip


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"
