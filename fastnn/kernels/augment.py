"""Random changes of images (N, H, W, C): where each pixel comes from, the resampling, cutout and mixup.

A random number is a pure function of (key, row, number): the row, the sample's place in its data set, starts a stream
of splitmix64 (Steele, Lea, Flood 2014), and `number` is the place in it. So what happens to a sample depends neither on
its batch nor on threads. Elastic fields: Simard, Steinkraus, Platt 2003; cutout: DeVries and Taylor 2017,
arXiv:1708.04552; mixup: Zhang et al. 2018, arXiv:1710.09412; its beta numbers: Devroye 1996, "Random variate generation
in one line of code".
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np

from ._jit import exact, kernel
from ._math import stack_block, typed
from ._parallel import run

CONSTANT = 0  # outside of the image: `fill`
EDGE = 1  # the nearest pixel
REFLECT = 2  # the image mirrored at its outermost pixels

# Places of the numbers in a sample's stream; from _NODES on those of the elastic field, one for each node of its grid
_SHIFT, _CROP, _RESIZE, _ROTATE, _SCALE, _SHEAR, _FLIP, _CUTOUT, _MIX, _START = 0, 2, 4, 5, 6, 7, 8, 10, 12, 14
_NODES = 16
_LINE = 1 << 20  # numbers from a node to the one below it
_STEP = np.uint64(0x9E3779B97F4A7C15)
_DEGREE = math.pi / 180
_SPACING = math.sqrt(3.0)  # of the grid, in sigmas: a cubic B-spline's variance is a third of its squared spacing
# Noise smoothed by a Gaussian of s pixels keeps 1 / (2 sqrt(pi) s) of its deviation, by the spline 151 / 315
_DEVIATION = 315 / 151 / (2 * math.sqrt(math.pi))
_TILE = 32  # an elastic field is made in tiles of at most as many nodes, and columns: squared, they fill a stack block
_PIXELS = 256  # resampled at once: what is known of them stays in L1
_FAR = 1048576.0  # pixels outside
_ROWS = 16  # of a chunk


@exact
def _hash(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@exact
def _stream(key, row):
    return _hash(np.uint64(key) + (np.uint64(row) + np.uint64(1)) * _STEP)


@exact
def _random(stream, number):
    """In [0, 1), 53 bits."""
    return np.float64(np.int64(_hash(stream + (np.uint64(number) + np.uint64(1)) * _STEP) >> np.uint64(11))) * 2.0**-53


@kernel
def random_affine(rows, key, shift, crop, resize, rotate, scale, shear, flip, size, maps):
    """maps (N, 2, 3): pixel (y, x) of the changed image is the image at maps @ (y, x, 1); rows (N,), size (H, W).

    shift: most pixels (down, right), whole numbers drawn as such. crop: pixels around the image out of which a window
    of its size is taken; resize: share by which the window's sides may be shorter. rotate, shear: most degrees, below
    90. scale: most change of the size, below 1. flip: 1 left and right, 2 up and down, 3 both, each half of the times.
    """
    args = (rows, key, shift, crop, resize, rotate, scale, shear, flip, size, maps)
    run(_affine_chunk, -(-rows.size // _ROWS), rows.size * 64, args)


@kernel
def _affine_chunk(chunk, rows, key, shift, crop, resize, rotate, scale, shear, flip, size, maps):
    for i in range(chunk * _ROWS, min((chunk + 1) * _ROWS, rows.size)):
        stream = _stream(key, rows[i])
        side = 1.0 - resize * _random(stream, _RESIZE)
        angle = _DEGREE * rotate * (2.0 * _random(stream, _ROTATE) - 1.0)
        slope = math.tan(_DEGREE * shear * (2.0 * _random(stream, _SHEAR) - 1.0))
        smaller = 1.0 / (1.0 + scale * (2.0 * _random(stream, _SCALE) - 1.0))
        cosine, sine = math.cos(angle), math.sin(angle)
        down = -smaller if flip & 2 and _random(stream, _FLIP) < 0.5 else smaller
        right = -smaller if flip & 1 and _random(stream, _FLIP + 1) < 0.5 else smaller
        yy, yx, xy, xx = down * cosine, down * sine, right * (slope * cosine - sine), right * (slope * sine + cosine)
        middle_y, middle_x = 0.5 * (size[0] - 1), 0.5 * (size[1] - 1)
        # The window's first pixel, seen from the middle of the image before it was shifted
        y = _window(size[0], side, crop, resize, _random(stream, _CROP)) - middle_y
        y -= _moved(shift[0], _random(stream, _SHIFT))
        x = _window(size[1], side, crop, resize, _random(stream, _CROP + 1)) - middle_x
        x -= _moved(shift[1], _random(stream, _SHIFT + 1))
        maps[i, 0, 0], maps[i, 0, 1], maps[i, 0, 2] = side * yy, side * yx, yy * y + yx * x + middle_y
        maps[i, 1, 0], maps[i, 1, 1], maps[i, 1, 2] = side * xy, side * xx, xy * y + xx * x + middle_x


@kernel
def _window(n, side, crop, resize, u):
    """Where the first of n pixels of a window lies."""
    if resize == 0.0:
        return math.floor(u * (2 * crop + 1)) - crop
    return u * (n * (1.0 - side) + 2 * crop) - crop + 0.5 * (side - 1.0)


@kernel
def _moved(most, u):
    if most == math.floor(most):
        return math.floor(u * (2.0 * most + 1.0)) - most
    return (2.0 * u - 1.0) * most


@kernel
def elastic_field(rows, key, alpha, sigma, field):
    """field (N, 2, H, W): by how many pixels (down, right) each pixel's source is moved; rows (N,).

    Uniform noise in -alpha..alpha at each pixel, smoothed by a Gaussian of `sigma` pixels, as cubic B-splines on a
    coarse grid have it; sigma >= 0.5.
    """
    run(_field_chunk, rows.size, 4 * field.size, (rows, key, alpha, sigma, field))


@kernel
def _field_chunk(image, rows, key, alpha, sigma, field):
    out, stream = field[image], _stream(key, rows[image])
    height, width = out.shape[1:]
    zero, spacing, size = typed(out[0, 0, 0], 0.0), _SPACING * sigma, alpha / sigma * _DEVIATION
    start_y, start_x = _random(stream, _START), _random(stream, _START + 1)
    nodes, across, result = stack_block(out), stack_block(out), stack_block(out)
    tile = int(min((_TILE - 5) * spacing, _FAR))
    for left in range(0, width, min(tile, _TILE)):
        columns = min(min(tile, _TILE), width - left)
        first_x = math.floor(left / spacing + start_x)
        nodes_x = int((left + columns - 1) / spacing + start_x - first_x) + 5  # one more, for rounding
        for k in range(nodes_x * _TILE):
            across[k] = zero
        for k in range(columns):
            place = (left + k) / spacing + start_x - first_x
            b = int(place)
            w0, w1, w2, w3 = _spline(typed(zero, place - b))
            at = b * _TILE + k
            across[at], across[at + _TILE], across[at + 2 * _TILE], across[at + 3 * _TILE] = w0, w1, w2, w3
        for top in range(0, height, tile):
            bottom, first_y = min(top + tile, height), math.floor(top / spacing + start_y)
            nodes_y = int((bottom - 1) / spacing + start_y - first_y) + 5
            for part in range(2):
                for a in range(nodes_y):
                    number = _NODES + ((part * _LINE + int(first_y) + a) * _LINE + int(first_x))
                    for b in range(nodes_x):
                        nodes[a * _TILE + b] = typed(zero, size * (2.0 * _random(stream, number + b) - 1.0))
                for y in range(top, bottom):
                    place = y / spacing + start_y - first_y
                    a = int(place)
                    w0, w1, w2, w3 = _spline(typed(zero, place - a))
                    for k in range(_TILE):
                        result[k] = zero
                    for b in range(nodes_x):
                        at = a * _TILE + b
                        node = w0 * nodes[at] + w1 * nodes[at + _TILE]
                        node += w2 * nodes[at + 2 * _TILE] + w3 * nodes[at + 3 * _TILE]
                        for k in range(_TILE):  # the weights as a matrix: gathers take three times as long
                            result[k] += node * across[b * _TILE + k]
                    for k in range(columns):
                        out[part, y, left + k] = result[k]


@exact
def _spline(t):
    """The weights of four neighbours in a uniform cubic B-spline, for a place t in 0..1 between the middle ones."""
    one, sixth, half, middle = typed(t, 1.0), typed(t, 1.0 / 6.0), typed(t, 0.5), typed(t, 2.0 / 3.0)
    s = one - t
    return sixth * s * s * s, middle - half * t * t * (one + s), middle - half * s * s * (one + t), sixth * t * t * t


@kernel
def warp(source, rows, maps, field, border, fill, batch):
    """batch (N, H, W, C) = source[rows] at maps @ (y, x, 1) + field, bilinear; outside as `border` says.

    source (M, H, W, C), rows (N,), maps (N, 2, 3), field (N, 2, H, W) or size 0, fill (C,). Whole places copy pixels.
    """
    run(_warp_chunk, rows.size, 8 * batch.size, (source, rows, maps, field, border, fill, batch))


@kernel
def _warp_chunk(image, source, rows, maps, field, border, fill, batch):
    height, width, channels = batch.shape[1:]
    x, out, m = source[rows[image]].reshape(-1), batch[image].reshape(-1), maps[image]
    top, left, lower, further = stack_block(rows), stack_block(rows), stack_block(rows), stack_block(rows)
    above, below, before, after = stack_block(out), stack_block(out), stack_block(out), stack_block(out)
    result, one = stack_block(out), typed(out[0], 1.0)
    for first in range(0, height * width, _PIXELS):
        count = min(height * width - first, _PIXELS)
        _places(m, first, width, above[:count], before)
        if field.size > 0:
            _add(field[image, 0].reshape(-1)[first : first + count], above)
            _add(field[image, 1].reshape(-1)[first : first + count], before)
        _neighbours(border, height, width * channels, above[:count], below, top, lower)
        _neighbours(border, width, channels, before[:count], after, left, further)
        for c in range(channels):
            for k in range(count):
                upper = before[k] * x[top[k] + left[k] + c] + after[k] * x[top[k] + further[k] + c]
                under = before[k] * x[lower[k] + left[k] + c] + after[k] * x[lower[k] + further[k] + c]
                outside = one - (above[k] + below[k]) * (before[k] + after[k])
                result[k] = above[k] * upper + below[k] * under + outside * fill[c]
            for k in range(count):
                out[(first + k) * channels + c] = result[k]


@exact
def _places(m, first, width, down, right):
    """m @ (y, x, 1) for down.size pixels from number `first` on, row by row."""
    per_row, columns = 1.0 / width, float(width)
    for k in range(down.size):
        pixel = np.float64(np.int32(first + k))
        row = np.float64(np.int32((pixel + 0.5) * per_row))
        y, x = typed(down[0], row), typed(down[0], pixel - row * columns)
        down[k] = m[0, 0] * y + m[0, 1] * x + m[0, 2]
        right[k] = m[1, 0] * y + m[1, 1] * x + m[1, 2]


@exact
def _add(moves, places):
    for k in range(moves.size):
        places[k] += moves[k]


@exact
def _neighbours(border, n, stride, weights, others, firsts, seconds):
    """The pixels before and after a place along an axis of n pixels, `stride` apart, and their weights, 0 outside.

    `weights` comes with the places. They may be anything, NaN too; the neighbours are inside.
    """
    zero, one, last = typed(weights[0], 0.0), typed(weights[0], 1.0), typed(weights[0], n - 1.0)
    size, far, around = np.int32(n), typed(weights[0], _FAR), max(last + last, one)
    if border == REFLECT:
        for k in range(weights.size):
            at = abs(weights[k])
            at = at if at < far else far
            at -= around * typed(at, np.float64(np.int32(at / around)))
            weights[k] = at if at < last else last + last - at
    low, high = (-one, last + one) if border == CONSTANT else (zero, last)
    for k in range(weights.size):
        at = weights[k] if weights[k] > low else low
        at = at if at < high else high
        first = np.int32(at)
        first -= np.int32(at < typed(at, np.float64(first)))  # rounded down
        share = at - typed(at, np.float64(first))
        weights[k] = one - share if (first >= 0) & (first < size) else zero
        others[k] = share if first + 1 < size else zero
        firsts[k] = min(max(first, 0), size - 1) * stride
        seconds[k] = min(first + 1, size - 1) * stride


@kernel
def cutout(rows, key, size, fill, images):
    """A square of size x size pixels becomes fill (C,), its middle anywhere in the image; images (N, H, W, C)."""
    run(_cutout_chunk, rows.size, rows.size * size * size * fill.size, (rows, key, size, fill, images))


@kernel
def _cutout_chunk(image, rows, key, size, fill, images):
    x, stream = images[image], _stream(key, rows[image])
    height, width, channels = x.shape
    top = int(_random(stream, _CUTOUT) * height) - size // 2
    left = int(_random(stream, _CUTOUT + 1) * width) - size // 2
    for i in range(max(0, top), min(height, top + size)):
        for j in range(max(0, left), min(width, left + size)):
            for c in range(channels):
                x[i, j, c] = fill[c]


@kernel
def mixup(rows, key, alpha, x, mixed):
    """mixed = s * x + (1 - s) * the next row of x, the first one's after the last; x and mixed (N, C), rows (N,).

    s is a beta(alpha, alpha) number or 1 minus it, whichever is at least a half; alpha > 0.
    """
    run(_mixup_chunk, -(-rows.size // _ROWS), 2 * mixed.size, (rows, key, alpha, x, mixed))


@kernel
def _mixup_chunk(chunk, rows, key, alpha, x, mixed):
    for i in range(chunk * _ROWS, min((chunk + 1) * _ROWS, rows.size)):
        stream = _stream(key, rows[i])
        tail = (1.0 - _random(stream, _MIX)) ** (-1.0 / alpha) - 1.0
        cosine = math.cos(2.0 * math.pi * _random(stream, _MIX + 1))
        share = 0.5 + 0.5 / math.sqrt(1.0 + 1.0 / (tail * cosine * cosine))
        own, other = typed(x[0, 0], share), typed(x[0, 0], 1.0 - share)
        a, b, out = x[i], x[(i + 1) % rows.size], mixed[i]
        for c in range(out.size):
            out[c] = own * a[c] + other * b[c]
