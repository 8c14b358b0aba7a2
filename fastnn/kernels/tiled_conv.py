"""Convolutions with operands rounded to bf16, by tiles: see _amx.py.

An image is copied as pairs of channels with its padding: a tile's rows are neighbouring pixels from any one on, across
the ends of rows, whose sums are not written. The input gradient is the same convolution of the outputs' gradient, with
zeros between its pixels for strides. The weight gradient has pairs of images, and the outputs' gradient is transposed:
a tap only shifts the other factor, by whole rows of its tiles. Its terms are pixels, with zeros where rows end.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from ._amx import COLUMNS, ROW, ROWS, TERMS, TILE, configure, ones, release, tile_product, zeros
from ._epilogue import activate, tile_flags
from ._jit import kernel
from ._memory import address, copy, pair, pairs_in, stack, transpose
from ._parallel import run
from ._simd import ACCUMULATE
from ._windows import CHUNKS, bands
from .activation import IDENTITY
from .dense import sum_parts
from .tiled import RATE, SIZE, pair_tile, term_tiles, tiles

ROOM = 512 << 10  # bytes of a band of copied images
SLACK = 2 * ROWS  # pixels behind a band that the last tiles read
LEAST, WORTH = 16, 1 << 18  # channels, and multiply-adds of an image


@kernel
def is_tiled(y_shape, w_shape, stride, dilation, groups):
    """Return whether all three passes go by tiles: there is room for a row, and an image is worth the copies.

    Times of float32 by those of bf16, forward, input gradient, weight gradient, 64 images, 3x3: 16x16 pixels, 16 to 16
    channels 1.6, 1.6, 1.1, stride 2, 32 to 64 2.6, 1.5, 0.7. Not worth it: 10x10, stride 2, 16 to 16 0.4, 0.9, 0.6.
    """
    (taps_h, taps_w, c, k), (_, p, q, _) = w_shape, y_shape
    if groups > 1 or min(c, k) < LEAST or p * q * taps_h * taps_w * c * k < WORTH:
        return False
    high, across = (taps_h - 1) * dilation[0] + 1, (taps_w - 1) * dilation[1] + 1
    wide = q * stride[1] + 2 * across
    rows = (high * wide + SLACK * stride[1]) * max(term_tiles(c), term_tiles(k)) * ROW
    return rows <= ROOM and _band_bytes(1, wide, high, c, k) <= ROOM


def tiled_conv_scratch_size(images: int, w_shape: Any) -> int:
    """Return the number of elements that all three passes want as scratch."""
    taps_h, taps_w, c, k = w_shape
    weights = max(term_tiles.py_func(c) * tiles.py_func(k), term_tiles.py_func(k) * tiles.py_func(c))
    return int(max(taps_h * taps_w * weights * SIZE + SIZE, min(images, CHUNKS) * (taps_h * taps_w * c * k + k)))


@kernel
def tiled_forward(x, w, b, stride, padding, dilation, activation, alpha, scratch, y):
    """y = f(x * w + b)."""
    _convolve(x, w, False, address(b, 0) if b.size > 0 else 0, (1, 1), stride, padding, dilation, activation, alpha,
              scratch, y)  # fmt: skip


@kernel
def tiled_input_gradient(dz, w, stride, padding, dilation, scratch, dx):
    """dx from dz."""
    opposite = (w.shape[0] - 1) * dilation[0] - padding[0], (w.shape[1] - 1) * dilation[1] - padding[1]
    _convolve(dz, w, True, 0, stride, (1, 1), opposite, dilation, IDENTITY, 0.0, scratch, dx)


@kernel
def _convolve(x, w, turned, bias, spread, stride, padding, dilation, activation, alpha, scratch, y):
    """y = f(x * w + bias), where x's pixels are `spread` apart, and w is turned: taps reversed, channels transposed."""
    (images, rows, columns, _), (taps_h, taps_w, _, _), c = y.shape, w.shape, x.shape[3]
    at_w = (address(scratch, 0) + ROW - 1) // ROW * ROW
    like = pairs_in(scratch, 0, (1,))
    run(_weights_chunk, taps_h * taps_w, w.size, (w, turned, at_w, like))
    wide = _width(columns, stride, dilation[1], taps_w)
    reach, row = (taps_h - 1) * dilation[0] + 1, wide * term_tiles(c) * ROW
    most = (ROOM - SLACK * stride[1] * term_tiles(c) * ROW - reach * row) // (stride[0] * row) + 1
    cut = max(bands(images, rows), (rows + most - 1) // most)
    run(_forward_chunk, images * cut, y.size * taps_h * taps_w * c // RATE,
        (cut, x, at_w, bias, taps_h, taps_w, spread, stride, padding, dilation, activation, alpha, like,
         y))  # fmt: skip


@kernel
def _width(columns, stride, dilation, taps):
    """Return the pixels of a copied row: `stride` steps down must be a number of steps along."""
    wide = (columns - 1) * stride[1] + (taps - 1) * dilation + 1
    return wide if stride[0] % stride[1] == 0 else (wide + stride[1] - 1) // stride[1] * stride[1]


@kernel
def _weights_chunk(tap, w, turned, to, like):
    """One tap's weights as tiles of B."""
    taps, (_, _, c, k) = w.shape[0] * w.shape[1], w.shape
    terms, columns = (k, c) if turned else (c, k)
    down, source = term_tiles(terms), address(w, (taps - 1 - tap if turned else tap) * c * k)
    half = down * TERMS
    for j in range(tiles(columns)):
        for i in range(down):
            at = to + ((j * taps + tap) * down + i) * TILE
            if turned:
                from_w = source + (j * COLUMNS * k + i * TERMS) * 4
                pair_tile(like, min(COLUMNS, c - j * COLUMNS), min(TERMS, k - i * TERMS), COLUMNS,
                          k - half - i * TERMS, from_w, from_w + half * 4, k, True, at)  # fmt: skip
            else:
                from_w = source + (i * TERMS * k + j * COLUMNS) * 4
                pair_tile(like, min(TERMS, c - i * TERMS), min(COLUMNS, k - j * COLUMNS), c - half - i * TERMS,
                          k - j * COLUMNS, from_w, from_w + half * k * 4, k, False, at)  # fmt: skip


@kernel
def _forward_chunk(chunk, cut, x, at_w, bias, taps_h, taps_w, spread, stride, padding, dilation, activation, alpha,
                   like, y):  # fmt: skip
    """A band of rows of an image of y."""
    (_, rows, columns, k), c = y.shape, x.shape[3]
    n, band = chunk // cut, chunk % cut
    first, last = band * rows // cut, (band + 1) * rows // cut
    steps, memory = term_tiles(c), stack(ROOM)
    wide, pixel = _width(columns, stride, dilation[1], taps_w), steps * ROW
    for r in range((last - first - 1) * stride[0] + (taps_h - 1) * dilation[0] + 1):
        _copy_row(x, n, first * stride[0] - padding[0] + r, padding[1], spread, wide, like, memory + r * wide * pixel)
    pitch = stride[0] * wide // stride[1]
    to = address(y, (n * rows + first) * columns * k)
    configure()
    tile_product((last - first - 1) * pitch + columns, k, taps_h, taps_w, steps, memory, stride[1] * pixel, ROW,
                 dilation[0] * wide * pixel, dilation[1] * pixel, at_w, steps * TILE,
                 taps_h * taps_w * steps * TILE, to, k * 4, bias, tile_flags(activation), pitch, columns)  # fmt: skip
    release()
    activate(y, activation, alpha, to, (last - first) * columns * k)


@kernel
def _copy_row(x, n, h, left, spread, wide, like, to):
    """Copy the row at h of an image whose pixels are `spread` apart, from `left` on, with zeros elsewhere."""
    _, height, width, c = x.shape
    half = term_tiles(c) * TERMS
    if h < 0 or h % spread[0] != 0 or h // spread[0] >= height:
        _clear(like, wide * half, to)
        return
    first = max(0, (spread[1] - 1 - left) // spread[1])
    last = min(width, (wide - 1 - left) // spread[1] + 1)
    before = (left + first * spread[1]) * half
    if spread[1] > 1 or first >= last:
        _clear(like, wide * half, to)
    else:
        _clear(like, before, to)
        _clear(like, (wide - left - last) * half, to + (left + last) * half * 4)
    if first < last:
        source = address(x, ((n * height + h // spread[0]) * width + first) * c)
        pair(like, last - first, half, c - half, source, source + half * 4, c, to + before * 4, spread[1] * half)


@kernel
def _clear(like, count, to):
    """Write zeros for `count` pairs, a multiple of COLUMNS."""
    copy(like, count // COLUMNS, COLUMNS, zeros(), 0, to, COLUMNS)


@kernel
def tiled_weight_gradient(x, dz, stride, padding, dilation, scratch, dw, db):
    """dw, db from x and dz."""
    (images, _, _, c), k = x.shape, dz.shape[3]
    half, taps = (images + 1) // 2, dw.size // (c * k)
    parts = min(half, CHUNKS)
    blocks = min(max(1, tiles(k) // 2), (CHUNKS + parts - 1) // parts)
    run(_weight_chunk, parts * blocks, dz.size * taps * c // RATE,
        (parts, blocks, x, dz, stride, padding, dilation, pairs_in(scratch, 0, (1,)), scratch, dw))  # fmt: skip
    run(_sum_chunk, taps * tiles(k), dw.size * parts, (parts, scratch, dw, db))


@kernel
def _weight_chunk(chunk, parts, blocks, x, dz, stride, padding, dilation, like, scratch, dw):
    """The sums, transposed, over one part of the images for one block of output channels, into the part's scratch."""
    (images, _, _, c), (_, rows, columns, k), (taps_h, taps_w, _, _) = x.shape, dz.shape, dw.shape
    part, block, half, units = chunk % parts, chunk // parts, (images + 1) // 2, tiles(k)
    n, end = part * half // parts, (part + 1) * half // parts
    k0, k1 = block * units // blocks * ROWS, min(k, (block + 1) * units // blocks * ROWS)
    at = address(scratch, part * (dw.size + k))
    wide, high = (columns - 1) * stride[1] + (taps_w - 1) * dilation[1] + 1, (rows - 1) * stride[0] + 1
    reach = (taps_h - 1) * dilation[0]
    # Bands of the rows among which dz's lie, as many as there is room for, and as many images
    most = high
    while _band_bytes(most, wide, reach, c, k1 - k0) > ROOM:
        most = (most + 1) // 2
    several = max(1, min(end - n, ROOM // _band_bytes(most, wide, reach, c, k1 - k0)))
    terms, pixels, memory = _band_terms(most, wide), _band_pixels(most, wide, reach), stack(ROOM)
    row = (several * terms * 4 // ROW | 1) * ROW  # an odd number of lines: rows of a tile lie in different sets of L1
    of_x, of_dz = memory + tiles(k1 - k0) * ROWS * row, memory
    from_ones = of_x + tiles(c) * several * pixels * ROW
    for i in range(several * terms):
        copy(like, 1, COLUMNS, ones(), 0, from_ones + i * ROW, 0)
    configure()
    for m in range(n, end, several):
        count = min(several, end - m)
        for i0 in range(0, high, most):
            flags = ACCUMULATE if m > n or i0 > 0 else 0
            if most < high or flags == 0:
                _clear(like, (from_ones - memory) // 4, memory)
            for image in range(count):
                _copy_outputs(dz, m + image, half, i0, min(high, i0 + most), stride, wide, k0, k1, like,
                              of_dz + image * terms * 4, row)  # fmt: skip
                _copy_inputs(x, m + image, half, i0 - padding[0], most + reach, padding[1], wide, like,
                             of_x + image * pixels * ROW, several * pixels * ROW)  # fmt: skip
            for i in range(k0, k1, 2 * ROWS):
                from_dz, rows_now = of_dz + (i - k0) * row, min(2 * ROWS, k1 - i)
                for j in range(0, c, 2 * COLUMNS):
                    for tap in range(taps_h * taps_w):
                        shift = tap // taps_w * dilation[0] * wide + tap % taps_w * dilation[1]
                        tile_product(rows_now, min(2 * COLUMNS, c - j), 1, count, terms // TERMS, from_dz,
                                     row, ROW, 0, terms * 4,
                                     of_x + j // COLUMNS * several * pixels * ROW + shift * ROW, pixels * ROW,
                                     several * pixels * ROW, at + ((tap * k + i) * c + j) * 4, c * 4, 0, flags,
                                     c, c)  # fmt: skip
                tile_product(rows_now, 1, 1, count, terms // TERMS, from_dz, row, ROW, 0, terms * 4,
                             from_ones, terms * ROW, 0, at + (dw.size + i) * 4, 4, 0, flags, k, k)  # fmt: skip
    release()


@kernel
def _band_terms(rows, wide):
    """Return the terms of a band of outputs: its pixels, up to a whole tile."""
    return tiles(rows * wide) * ROWS


@kernel
def _band_pixels(rows, wide, reach):
    """Return the pixels of the inputs that a band and its taps reach."""
    return (rows + reach) * wide + SLACK


@kernel
def _band_bytes(rows, wide, reach, c, k):
    """Return the bytes of a band of an image's outputs and inputs."""
    return (tiles(k) * ROWS * (_band_terms(rows, wide) * 4 + ROW) + tiles(c) * _band_pixels(rows, wide, reach) * ROW
            + _band_terms(rows, wide) * ROW)  # fmt: skip


@kernel
def _copy_outputs(dz, n, half, i0, i1, stride, wide, k0, k1, like, to, row):
    """Copy some channels of dz of the images n and n + half, transposed, its rows and pixels a stride apart."""
    images, rows, columns, k = dz.shape
    image, block = rows * columns * k, stack(TILE)
    for i in range((i0 + stride[0] - 1) // stride[0], (i1 - 1) // stride[0] + 1):
        for v in range(0, columns, ROWS):
            count = min(ROWS, columns - v)
            for j in range(k0, k1, COLUMNS):
                source, channels = address(dz, n * image + (i * columns + v) * k + j), min(COLUMNS, k1 - j)
                pair(like, count, channels, channels if n + half < images else 0, source, source + half * image * 4, k,
                     block, COLUMNS)  # fmt: skip
                at = to + (j - k0) * row + ((i * stride[0] - i0) * wide + v * stride[1]) * 4
                if stride[1] == 1:
                    transpose(like, count, channels, block, COLUMNS, at, row // 4)
                else:
                    for p in range(count):
                        transpose(like, 1, channels, block + p * ROW, COLUMNS, at + p * stride[1] * 4, row // 4)


@kernel
def _copy_inputs(x, n, half, h0, rows, left, wide, like, to, across):
    """Copy x of the images n and n + half as tiles of B."""
    images, height, width, c = x.shape
    image, last = height * width * c, min(width, wide - left)
    for h in range(max(0, h0), min(height, h0 + rows)):
        source, at = address(x, n * image + h * width * c), to + ((h - h0) * wide + left) * ROW
        for j in range(0, c, COLUMNS):
            pair(like, last, min(COLUMNS, c - j), c - j if n + half < images else 0, source + j * 4,
                 source + (half * image + j) * 4, c, at + j // COLUMNS * across, COLUMNS)  # fmt: skip


@kernel
def _sum_chunk(chunk, parts, scratch, dw, db):
    """Add the parts in their order and transpose them, for some output channels of a tap."""
    (_, _, c, k), step = dw.shape, dw.size + dw.shape[3]
    tap, k0 = chunk // tiles(k), chunk % tiles(k) * ROWS
    rows = min(ROWS, k - k0)
    first = (tap * k + k0) * c
    sum_parts(parts, step, scratch, first, scratch[first : first + rows * c])
    transpose(dw, rows, c, address(scratch, first), c, address(dw, tap * c * k + k0), k)
    if chunk == 0:
        sum_parts(parts, step, scratch, dw.size, db)
