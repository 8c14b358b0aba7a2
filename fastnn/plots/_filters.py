"""The first layer's weights as a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _checks
from fastnn._typing import Array
from fastnn.plots import _figure, _images

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastnn._network import Network

_OWN = "plots.filters"
_CELL = 0.62  # inches of a filter
_FULL = 0.998  # quantile of |weight|


def filters(model: Network, path: str | PathLike[str] | None = None, *, count: int = 64) -> Figure:
    """The weights of the first Conv2D or Dense layer; zero is in the middle of a scale that all share.

    Conv2D: its filters, in colour where they see 3 channels, in red (negative) to blue (positive) where they see 1;
    with other numbers, each channel of a filter by itself. Dense: the weights of each unit as an image of the model's
    input_shape, or of a square, where one fits; else the matrix (in, out). Of more than count filters the ones with
    the largest norm are shown.
    """
    count = _checks.integer(_OWN, "count", count, 1)
    name, weights = _first(model)
    images = _tiles(weights, model.input_shape)
    with _figure.look():
        if images is None:
            return _figure.saved(_matrix(weights, name), path)
        total = len(images)
        if total > count:
            norms = np.linalg.norm(images.reshape(total, -1), axis=1)
            images = images[np.sort(np.argsort(-norms, kind="stable")[:count])]
        return _figure.saved(_mosaic(images, total, name), path)


def _first(model: Network) -> tuple[str, Array]:
    for name, a in model.weights().items():
        if name.endswith(".weights"):
            kind = "Conv2D" if a.ndim == 4 else "Dense"
            return f"{kind} {' x '.join(map(str, a.shape))}", np.asarray(a, np.float64)
    raise ValueError(f"{_OWN}: model must have a Dense or Conv2D layer, got none")


def _tiles(weights: Array, input_shape: tuple[int, ...] | None) -> Array | None:
    """Images (K, H, W, 1 or 3); None where a dense layer sees no image."""
    if weights.ndim == 2:
        shape = _images.image_shape(len(weights), input_shape)
        return None if shape is None else _split(weights.T.reshape(-1, *shape))
    return _split(weights.transpose(3, 0, 1, 2))


def _split(images: Array) -> Array:
    """(K, R, S, C) as (K * C, R, S, 1) unless C is 1 or 3."""
    k, r, s, c = images.shape
    return images if c in (1, 3) else images.transpose(0, 3, 1, 2).reshape(k * c, r, s, 1)


def _mosaic(images: Array, total: int, name: str) -> Figure:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    k, r, s, c = images.shape
    columns = _columns(k, r / s)
    lines = -(-k // columns)
    gap = max(1, round(0.08 * max(r, s)))
    canvas = np.full((lines * (r + gap) - gap, columns * (s + gap) - gap, c), np.nan)
    frames = []
    for place, image in enumerate(images):
        line, column = divmod(place, columns)
        top, left = line * (r + gap), column * (s + gap)
        canvas[top : top + r, left : left + s] = image
        frames.append(Rectangle((left - 0.5, top - 0.5), s, r))
    width = max(columns * _CELL, 3.6)
    figure = _figure.figure(width + 0.9, width * canvas.shape[0] / canvas.shape[1] + 0.5)
    axes = figure.add_subplot()
    if c == 3:
        limit = _limit(images)
        axes.imshow(np.where(np.isnan(canvas), 1.0, np.clip(0.5 + 0.5 * canvas / limit, 0, 1)), interpolation="nearest")
        axes.set_xlabel(f"grey: 0, full colour: ±{limit:.2g}", loc="left", color=_figure.GREY)
    else:
        _signed_image(axes, canvas[..., 0], _limit(images))
    axes.add_collection(PatchCollection(frames, facecolor="none", edgecolor=_figure.SOFT, lw=0.5))
    _figure.bare(axes)
    of = f", the largest {k} of {total}" if k < total else ""
    axes.set_title(f"First layer: {name}{of}", loc="left", weight="bold")
    return figure


def _columns(count: int, aspect: float) -> int:
    """Columns of a mosaic somewhat wider than high, with as few empty places as can be."""
    ideal = math.sqrt(1.5 * count * aspect)
    near = range(max(1, math.ceil(0.75 * ideal)), max(1, math.floor(1.4 * ideal)) + 1)
    return min(near, key=lambda columns: (-count % columns, abs(columns - ideal)))


def _matrix(weights: Array, name: str) -> Figure:
    from matplotlib.ticker import MaxNLocator

    rows, columns = weights.shape
    figure = _figure.figure(min(max(columns * 0.12, 3.6), 12) + 1.2, min(max(rows * 0.12, 2.0), 9) + 0.8)
    axes = figure.add_subplot()
    _signed_image(axes, weights, _limit(weights))
    axes.set_aspect("auto")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("unit")
    axes.set_ylabel("input")
    axes.set_title(f"First layer: {name}", loc="left", weight="bold")
    return figure


def _limit(values: Array) -> float:
    """What counts as full colour: a few outliers do not make all the rest pale."""
    return float(np.quantile(np.abs(values), _FULL)) or 1.0


def _signed_image(axes: Axes, values: Array, limit: float) -> None:
    """Red to blue, zero white, with its scale."""
    picture = axes.imshow(values, cmap=_figure.signed(), vmin=-limit, vmax=limit, interpolation="nearest")
    bar = axes.figure.colorbar(picture, cax=axes.inset_axes((1.02, 0.0, 0.025, 1.0)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=2)
