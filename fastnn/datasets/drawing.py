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
_WEAK = 0.3  # of the ink's usual strength, below which it is noise or the blur of an edge
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
    strong = ink[ink > _otsu(ink)]
    ink = np.clip(ink / np.median(strong), 0, 1)
    return np.where(ink < _WEAK, np.float32(0), ink)


def _contrast(grey: Image.Image) -> Array:
    """How far each pixel is from the paper around it, in 0..1."""
    light = np.asarray(grey, np.float32) / 255
    frame = max(1, min(light.shape) // 20)
    edge = np.concatenate([a.reshape(-1) for a in (light[:frame], light[-frame:], light[:, :frame], light[:, -frame:])])
    if np.median(edge) < (light.min() + light.max()) / 2:
        light = 1 - light  # light on dark
    return np.clip(_paper(light) - light, 0, 1)


def _paper(light: Array) -> Array:
    """The brightness of the paper behind the ink, which changes slowly across a photo."""
    small = Image.fromarray(light).resize((24, 24), Image.Resampling.BOX)
    bright = _spread(np.asarray(small), 5, np.maximum)
    smooth = np.mean([_shifted(bright, k, axis) for axis in (0, 1) for k in range(-3, 4)], axis=0)
    return np.asarray(Image.fromarray(smooth).resize(light.shape[::-1], Image.Resampling.BILINEAR))


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
    """The ink in (H, W) with its centre of mass in the middle, as far as the edges allow."""
    canvas = np.zeros((height, width), ink.dtype)
    total = ink.sum()
    tops = []
    for axis, room in ((0, height), (1, width)):
        centre = (ink.sum(axis=1 - axis) * (np.arange(ink.shape[axis]) + 0.5)).sum() / total
        tops.append(int(np.clip(round(room / 2 - centre), 0, room - ink.shape[axis])))
    canvas[tops[0] : tops[0] + ink.shape[0], tops[1] : tops[1] + ink.shape[1]] = ink
    return canvas


def _spread(a: Array, radius: int, best: np.ufunc) -> Array:
    """The best value within radius pixels in each direction."""
    for axis in (0, 1):
        result = a
        for k in range(-radius, radius + 1):
            result = best(result, _shifted(a, k, axis))
        a = result
    return a


def _shifted(a: Array, by: int, axis: int) -> Array:
    """a moved by some pixels along an axis; the edge is repeated."""
    places = np.clip(np.arange(a.shape[axis]) - by, 0, a.shape[axis] - 1)
    return np.take(a, places, axis)
