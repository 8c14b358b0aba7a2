"""Random changes of images (N, H, W, C): where each pixel comes from, the resampling, cutout and mixup.

A random number is a pure function of (key, row, number): the row, the sample's place in its data set, starts a stream
of splitmix64 (Steele, Lea, Flood 2014), and `number` is the place in it. So what happens to a sample does not depend on
its batch. Elastic fields: Simard, Steinkraus, Platt 2003; cutout: DeVries and Taylor 2017, arXiv:1708.04552; mixup:
Zhang et al. 2018, arXiv:1710.09412; its beta numbers: Devroye 1996, "Random variate generation in one line of code".
"""

import math

import numpy as np

from ._arrays import Array, Pair

CONSTANT = 0  # outside of the image: `fill`
EDGE = 1  # the nearest pixel
REFLECT = 2  # the image mirrored at its outermost pixels

# Places of the numbers in a sample's stream; from _NODES on those of the elastic field, one for each node of its grid
_SHIFT, _CROP, _RESIZE, _ROTATE, _SCALE, _SHEAR, _FLIP, _CUTOUT, _MIX, _START = 0, 2, 4, 5, 6, 7, 8, 10, 12, 14
_NODES = 16
_LINE = 1 << 20  # numbers from a node to the one below it
_STEP = np.uint64(0x9E3779B97F4A7C15)
_SPACING = math.sqrt(3.0)  # of the grid, in sigmas: a cubic B-spline's variance is a third of its squared spacing
# Noise smoothed by a Gaussian of s pixels keeps 1 / (2 sqrt(pi) s) of its deviation, by the spline 151 / 315
_DEVIATION = 315 / 151 / (2 * math.sqrt(math.pi))
_FAR = 1048576.0  # pixels outside


def random_affine(
    rows: Array, key: int, shift: tuple[float, float], crop: int, resize: float, rotate: float, scale: float,
    shear: float, flip: int, size: Pair, maps: Array,
) -> None:  # fmt: skip
    """maps (N, 2, 3): pixel (y, x) of the changed image is the image at maps @ (y, x, 1); rows (N,), size (H, W).

    shift: most pixels (down, right), whole numbers drawn as such. crop: pixels around the image out of which a window
    of its size is taken; resize: share by which the window's sides may be shorter. rotate, shear: most degrees, below
    90. scale: most change of the size, below 1. flip: 1 left and right, 2 up and down, 3 both, each half of the times.
    """
    random = _random(key, rows, np.arange(_CUTOUT))
    side = 1 - resize * random[:, _RESIZE]
    angle = np.deg2rad(rotate * (2 * random[:, _ROTATE] - 1))
    slope = np.tan(np.deg2rad(shear * (2 * random[:, _SHEAR] - 1)))
    smaller = 1 / (1 + scale * (2 * random[:, _SCALE] - 1))
    down = np.where(bool(flip & 2) & (random[:, _FLIP] < 0.5), -smaller, smaller)
    right = np.where(bool(flip & 1) & (random[:, _FLIP + 1] < 0.5), -smaller, smaller)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.stack([down * cosine, down * sine, right * (slope * cosine - sine), right * (slope * sine + cosine)])
    turn = turn.T.reshape(-1, 2, 2)
    middle = (np.array(size) - 1) / 2
    # The window's first pixel, seen from the middle of the image before it was shifted
    start = _windows(size, side, crop, resize, random[:, _CROP : _CROP + 2]) - middle
    start -= _moves(shift, random[:, _SHIFT : _SHIFT + 2])
    maps[:, :, :2] = turn * side[:, None, None]
    maps[:, :, 2] = (turn @ start[:, :, None])[:, :, 0] + middle


def _windows(size: Pair, side: Array, crop: int, resize: float, u: Array) -> Array:
    """Where the first pixel of each window lies (N, 2)."""
    side = side[:, None]
    room = 2 * crop + np.array(size) * (1 - side)
    first: Array = u * room + (side - 1) / 2 if resize else np.floor(u * (2 * crop + 1))
    return first - crop


def _moves(shift: tuple[float, float], u: Array) -> Array:
    most = np.array(shift)
    moves: Array = np.where(most == np.floor(most), np.floor(u * (2 * most + 1)) - most, (2 * u - 1) * most)
    return moves


def elastic_field(rows: Array, key: int, alpha: float, sigma: float, field: Array) -> None:
    """field (N, 2, H, W): by how many pixels (down, right) each pixel's source is moved; rows (N,).

    Uniform noise in -alpha..alpha at each pixel, smoothed by a Gaussian of `sigma` pixels, as cubic B-splines on a
    coarse grid have it; sigma >= 0.5.
    """
    start = _random(key, rows, np.arange(_START, _START + 2))
    weights = [_spline_matrix(field.shape[2 + axis], _SPACING * sigma, start[:, axis]) for axis in range(2)]
    parts, lines, columns = (np.arange(size)[:, None, None] for size in (2, *(w.shape[2] for w in weights)))
    numbers = _NODES + ((parts * _LINE + lines[:, 0]) * _LINE + columns[:, 0, 0])
    noise = 2 * _random(key, rows, numbers.reshape(-1)).reshape(-1, *numbers.shape) - 1
    np.copyto(field, alpha / sigma * _DEVIATION * (weights[0][:, None] @ noise @ weights[1][:, None].swapaxes(2, 3)))


def _spline_matrix(pixels: int, spacing: float, start: Array) -> Array:
    """The weights of the nodes (N, pixels, nodes)."""
    places = np.arange(pixels) / spacing + start[:, None]
    distances = np.abs(places[:, :, None] - np.arange(int(places.max()) + 4) + 1)
    near = 2 / 3 - distances**2 * (2 - distances) / 2
    weights: Array = np.where(distances < 1, near, np.maximum(2 - distances, 0) ** 3 / 6)
    return weights


def warp(source: Array, rows: Array, maps: Array, field: Array, border: int, fill: Array, batch: Array) -> None:
    """batch (N, H, W, C) = source[rows] at maps @ (y, x, 1) + field, bilinear; outside as `border` says.

    source (M, H, W, C), rows (N,), maps (N, 2, 3), field (N, 2, H, W) or size 0, fill (C,). Whole places copy pixels.
    """
    height, width = batch.shape[1:3]
    y, x = np.arange(height, dtype=batch.dtype)[:, None], np.arange(width, dtype=batch.dtype)
    places = [m[0] * y + m[1] * x + m[2] for m in maps.transpose(1, 2, 0)[..., None, None]]
    if field.size:
        places = [place + moves for place, moves in zip(places, field.swapaxes(0, 1), strict=True)]
    top, lower, above, below = _neighbours(border, height, places[0])
    left, further, before, after = _neighbours(border, width, places[1])
    images = rows[:, None, None]
    upper = before * source[images, top, left] + after * source[images, top, further]
    under = before * source[images, lower, left] + after * source[images, lower, further]
    outside = 1 - (above + below) * (before + after)
    np.copyto(batch, above * upper + below * under + outside * fill)


def _neighbours(border: int, n: int, at: Array) -> tuple[Array, Array, Array, Array]:
    """The pixels before and after a place along an axis of n pixels, and their weights (..., 1), 0 outside."""
    if border == REFLECT:
        at = np.abs(at).clip(0, _FAR) % max(2 * n - 2, 1)
        at = np.where(at < n - 1, at, 2 * n - 2 - at)
    at = at.clip(-1, n) if border == CONSTANT else at.clip(0, n - 1)
    first = np.floor(at)
    share = at - first
    before = np.where((first >= 0) & (first < n), 1 - share, 0)
    after = np.where(first + 1 < n, share, 0)
    pixel = first.astype(np.intp)
    return pixel.clip(0, n - 1), (pixel + 1).clip(0, n - 1), before[..., None], after[..., None]


def cutout(rows: Array, key: int, size: int, fill: Array, images: Array) -> None:
    """A square of size x size pixels becomes fill (C,), its middle anywhere in the image; images (N, H, W, C)."""
    random = _random(key, rows, np.arange(_CUTOUT, _CUTOUT + 2))
    inside = []
    for axis, n in enumerate(images.shape[1:3]):
        pixels = np.arange(n) - ((random[:, axis : axis + 1] * n).astype(int) - size // 2)
        inside.append((pixels >= 0) & (pixels < size))
    np.copyto(images, fill, where=(inside[0][:, :, None] & inside[1][:, None])[..., None])


def mixup(rows: Array, key: int, alpha: float, x: Array, mixed: Array) -> None:
    """mixed = s * x + (1 - s) * the next row of x, the first one's after the last; x and mixed (N, C), rows (N,).

    s is a beta(alpha, alpha) number or 1 minus it, whichever is at least a half; alpha > 0.
    """
    random = _random(key, rows, np.arange(_MIX, _MIX + 2))
    with np.errstate(over="ignore", divide="ignore"):
        tail = (1 - random[:, 0]) ** (-1 / alpha) - 1
        share = 0.5 + 0.5 / np.sqrt(1 + 1 / (tail * np.cos(2 * np.pi * random[:, 1]) ** 2))
    own, other = (s.astype(x.dtype)[:, None] for s in (share, 1 - share))
    np.copyto(mixed, own * x + other * np.roll(x, -1, axis=0))


def _random(key: int, rows: Array, numbers: Array) -> Array:
    """Numbers in [0, 1), 53 bits: (N, len(numbers))."""
    streams = _hash(np.uint64(key) + (rows.astype(np.uint64) + np.uint64(1)) * _STEP)
    bits = _hash(streams[:, None] + (numbers.astype(np.uint64) + np.uint64(1)) * _STEP)
    uniform: Array = (bits >> np.uint64(11)) * 2.0**-53
    return uniform


def _hash(z: Array) -> Array:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z
