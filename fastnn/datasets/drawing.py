"""A photo or drawing of one character, brought to the form of MNIST's images: light ink on black, of one size, centred.

MNIST's makers scaled each digit, its aspect kept, into 20x20 pixels, and moved its centre of mass into the middle of
28x28 (LeCun, Bottou, Bengio and Haffner 1998).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from fastnn._typing import Array
from fastnn.datasets._open import flat
from fastnn.errors import ImageError

_LOOK = 640  # longer side, in pixels, of what is looked at
_FAINT = 0.08  # contrast below which there is no ink, only paper
_WEAK, _NOISE = 0.05, 0.3  # share of the ink's strength that is no ink, and how much more in a photo
_PIECES, _SPECK = 80, 0.03  # cells on the longer side that find connected ink; a piece's least share of the largest
_CELLS = 24  # per side of the image, in which paper is looked for
_FINE = 8  # working pixels per pixel of the box
# Width of strokes in a box of 20 pixels: half of MNIST's are from 2.1 to 2.9 wide, 95 % below 3.9
_THINNEST, _THICKEST = 2.1, 3.4


def drawn(image: Image.Image, height: int, width: int, box: float) -> Image.Image:
    """The grey sample (H, W) of a drawing, in either polarity, anywhere in the image.

    box: the longer side of the ink as a share of the sample's shorter side. Raises ImageError where there is no ink.
    """
    side = max(1, round(box * min(height, width)))
    ink = _cropped(_ink(image))
    ink = _fitted(ink, side)
    return Image.fromarray(_centred(np.rint(255 * ink), height, width).astype(np.uint8))


def _ink(image: Image.Image) -> Array:
    """Ink (H, W) in 0..1 on a background of zeros."""
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        layered.thumbnail((_LOOK, _LOOK), Image.Resampling.BOX)
        over_white = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
        ink, alpha = _contrast(over_white.convert("L")), np.asarray(layered.getchannel("A"), np.float32) / 255
        if ink.max() < _FAINT:
            ink = alpha if alpha.min() < alpha.max() else ink  # white ink on nothing
    else:
        grey = flat(image, "L")
        grey.thumbnail((_LOOK, _LOOK), Image.Resampling.BOX)
        ink = _contrast(grey)
    if ink.max() < _FAINT:
        raise ImageError("nothing is drawn in it: it has one colour only")
    is_ink = ink > _otsu(ink)
    full = np.median(ink[is_ink])
    noise = np.median(np.abs(ink[~is_ink])) / full  # 0 in what was drawn on a screen
    ink = np.minimum(ink / full, 1)
    ink = np.where(ink < _WEAK + min(4 * noise, _NOISE), np.float32(0), ink)
    return ink * _without_specks(ink > 0.5)


def _contrast(grey: Image.Image) -> Array:
    """How much darker each pixel is than paper would be there, at most 1; lighter ones are below 0."""
    light = np.asarray(grey, np.float32) / 255
    frame = max(1, min(light.shape) // 20)
    edge = np.concatenate([a.reshape(-1) for a in (light[:frame], light[-frame:], light[:, :frame], light[:, -frame:])])
    if np.median(edge) < (light.min() + light.max()) / 2:
        light = 1 - light  # light on dark
    return np.minimum(_paper(light) - light, 1)


def _paper(light: Array) -> Array:
    """The brightness of the paper behind the ink, which changes slowly across a photo: a surface of the second order.

    It is fitted to cells of the image, again and again without those that are darker than it: they hold ink.
    """
    cells = np.asarray(Image.fromarray(light).resize((_CELLS, _CELLS), Image.Resampling.BOX), np.float64)
    here = (np.arange(_CELLS) + 0.5) / _CELLS - 0.5
    plane = _powers(here, here)[:, :3]
    is_paper = np.ones(_CELLS * _CELLS, bool)
    for terms in [plane] * 6 + [_powers(here, here)] * 3:
        factors = np.linalg.lstsq(terms[is_paper], cells.reshape(-1)[is_paper], rcond=None)[0]
        lighter = cells.reshape(-1) - terms @ factors
        is_paper = lighter > -max(_FAINT / 4, lighter[is_paper].std())
    rows, columns = ((np.arange(n) + 0.5) / n - 0.5 for n in light.shape)
    surface: Array = (_powers(rows, columns) @ factors).reshape(light.shape).astype(np.float32)
    return surface


def _powers(rows: Array, columns: Array) -> Array:
    """1, x, y, x*x, x*y, y*y for each pixel (H * W, 6)."""
    y, x = (a.reshape(-1) for a in np.meshgrid(rows, columns, indexing="ij"))
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _without_specks(strong: Array) -> Array:
    """Where ink may be (H, W) bool: in and around what is strong, without pieces that are small beside the largest."""
    size = -(-max(strong.shape) // _PIECES)
    height, width = (-(-n // size) for n in strong.shape)
    padded = np.zeros((height * size, width * size), bool)
    padded[: strong.shape[0], : strong.shape[1]] = strong
    counts = padded.reshape(height, size, width, size).sum(axis=(1, 3))
    # Cells that touch take over the highest number among them until each piece has one
    numbers, before = np.where(counts, np.arange(1, counts.size + 1).reshape(counts.shape), 0), None
    while before is None or (numbers != before).any():
        before, numbers = numbers, np.where(counts, _around(numbers), 0)
    ink = np.bincount(numbers.reshape(-1), counts.reshape(-1))
    kept = _around((ink > _SPECK * ink.max())[numbers])
    return kept.repeat(size, 0).repeat(size, 1)[: strong.shape[0], : strong.shape[1]]


def _around(a: Array) -> Array:
    """The highest value of each pixel and its eight neighbours."""
    for axis in (0, 1):
        a = np.maximum(np.maximum(_shifted(a, -1, axis), a), _shifted(a, 1, axis))
    return a


def _otsu(ink: Array) -> float:
    """The threshold that separates two groups of values best (Otsu 1979)."""
    counts, edges = np.histogram(ink, 128, (0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + np.nanargmax(between)])


def _cropped(ink: Array) -> Array:
    rows, columns = np.flatnonzero(ink.max(axis=1)), np.flatnonzero(ink.max(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fitted(ink: Array, side: int) -> Array:
    """Ink whose longer side is `side` pixels, with strokes neither thinner nor thicker than those of MNIST."""
    fine = int(np.clip(max(ink.shape) // side, 1, _FINE))
    ink = _resized(ink, side * fine)
    if fine > 1:
        width, unit = _stroke(ink), fine * side / 20
        steps = round((np.clip(width, _THINNEST * unit, _THICKEST * unit) - width) / 2)
        ink = _cropped(_grown(ink, max(steps, -int(width / 4))))
    return _resized(ink, side)


def _stroke(ink: Array) -> float:
    """Mean width of the strokes in pixels: twice the area by the length of the outline."""
    mask = np.pad(ink > 0.5, 1)
    steps = sum(np.count_nonzero(a[1:] != a[:-1]) for a in (mask, mask.T))
    # An outline of steps along the axes is 4 / pi times longer than a smooth one, on the average of all directions
    return float(2 * np.count_nonzero(mask) / (steps * np.pi / 4))


def _grown(ink: Array, steps: int) -> Array:
    """Ink with an outline so many pixels further out, or further in below 0. Every second step is a cross: octagons."""
    best = np.maximum if steps > 0 else np.minimum
    ink = np.pad(ink, max(steps, 0) + 1)
    for step in range(abs(steps)):
        down = best(best(_shifted(ink, -1, 0), ink), _shifted(ink, 1, 0))
        across = down if step % 2 else ink
        ink = best(best(_shifted(across, -1, 1), down), _shifted(across, 1, 1))
    return ink


def _resized(ink: Array, side: int) -> Array:
    scale = side / max(ink.shape)
    height, width = (max(1, round(n * scale)) for n in ink.shape)
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(ink).resize((width, height), method))


def _centred(ink: Array, height: int, width: int) -> Array:
    """The ink in (H, W) with its centre of mass at pixel (H / 2, W / 2), as in MNIST, as far as the edges allow."""
    canvas = np.zeros((height, width), ink.dtype)
    total = ink.sum()
    tops = []
    for axis, room in ((0, height), (1, width)):
        centre = (ink.sum(axis=1 - axis) * np.arange(ink.shape[axis])).sum() / total
        tops.append(int(np.clip(round(room / 2 - centre), 0, room - ink.shape[axis])))
    canvas[tops[0] : tops[0] + ink.shape[0], tops[1] : tops[1] + ink.shape[1]] = ink
    return canvas


def _shifted(a: Array, by: int, axis: int) -> Array:
    """a moved by some pixels along an axis; the edge is repeated."""
    places = np.clip(np.arange(a.shape[axis]) - by, 0, a.shape[axis] - 1)
    return np.take(a, places, axis)
