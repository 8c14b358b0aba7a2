"""Winograd's products for convolutions of stride 1: F(4x4, 3x3), 36 instead of 144 multiplications for 4x4 outputs.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv:1509.09308. A kernel, a row of outputs
and one of inputs are polynomials; a product of two is known from its values at as many points as it has coefficients.
Along one axis, with 6 inputs d, 4 outputs y and 3 taps g, and z the gradient of y:

    y = A^T [(G g) * (B^T d)]     gradient of g = G^T [(A z) * (B^T d)]     A, G: values at the points, B: interpolation

Both axes together: a tile of 6x6 inputs becomes 36 numbers per channel, number i of all tiles and channels a matrix,
and the convolution 36 matrix products (tiles x C) @ (C x K), whose results are transformed back. Tiles overlap by two
pixels. The input gradient is the same convolution with flipped, transposed weights. An infinite input makes NaN of its
whole tile. Images that tiles of 5x5 outputs fill better, 14x14 with 9 instead of 16, take F(5x5, 3x3): 49 instead of
225. 5x5 kernels take F(3x3, 5x5), 49 instead of 225, or F(2x2, 5x5), 36 instead of 100, with the same inputs as those
two. Pairs of bf16, whose rounding errors the larger transforms would multiply, take F(2x2, 3x3).

With 2x2 pooling after it, a block's outputs go to some rows of memory that stays in the cache, and from there to the
pooled ones; back, a row of tiles sees rows that are made of the pooled gradient. The array of outputs, and that of
their gradient, do not exist (_halves.py). The transforms are in _transforms.py.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from ._emitter import VECTOR_BYTES
from ._epilogue import activate, tile_flags
from ._halves import pool_rows, spread_rows
from ._jit import kernel
from ._memory import address, copy, numbers, one
from ._parallel import run, run_in_places
from ._simd import ACCUMULATE, FAR, VECTORS, gemm
from ._tilings import tile_outputs, tiles_of
from ._transforms import (
    GRADIENT,
    INPUT,
    NEAR,
    OUTPUT,
    PAIRS_TILE,
    SUMS,
    WEIGHTS,
    transform,
    transform_address,
)
from .dense import sum_parts

CHUNKS = 8  # for the thread pool
# Elements of a block's transformed inputs and outputs, which L2 holds beside some of the weights. CPUs with AVX-512
# have 1 MB of it or more: 1 to 3 % faster than with half the size. A smaller L2 reads the weights from L3 for each
# block: AVX2 with 512 KB, 128 to 128 channels 1.12 times as fast with 24 tiles as with 14.
BLOCK = (128 if VECTOR_BYTES == 64 else 64) << 10
FEWEST, MOST = 14 if VECTOR_BYTES == 64 else 24, 96  # tiles of a block
# The same of the weight gradient, whose products have the tiles as terms, and write their sums after them. AVX2, with a
# small register tile, 14x14, 32 to 64 1.13 to 1.2 times as fast as with 128 K; AVX-512, 14x14, 128 to 256, 128 to 128,
# 64 to 128, 32 to 64 1.18, 1.27, 1.03, 1.07, 8x8, 256 to 256, 64 to 128 1.24, 1.14, 16x16, 64 to 64 1.04.
SUM_BLOCK = 384 << 10
FEW, MANY = 64, 128  # least tiles of a chunk, and of the weight gradient's, whose sums are added up
MANY_SUMS = 1 << 17  # elements of all parts from which their halves are added up first
CHANNELS = 64  # input and output channels of a chunk of the weight gradient
PLAIN, POOLED, SPREAD = 0, 1, 2  # x and y as they are; y pooled; x a gradient that comes from pooling
LINE = 16  # elements between the matrices, so that their rows lie in different sets of L1
PANEL = VECTORS * VECTOR_BYTES  # bytes in a row of a panel of columns; a product reads one panel after another


def winograd_scratch_size(x_shape: Any, w_shape: Any, y_shape: Any, pooled: bool = False) -> int:
    """Return the number of elements that all three passes want as scratch, of floats or of pairs."""
    taps = w_shape[0]
    of_y, of_x = tile_outputs.py_func(taps, y_shape), tile_outputs.py_func(taps, x_shape)
    size = _scratch_size(x_shape, w_shape, y_shape, of_y, of_x, pooled)
    if pooled or taps > 3:
        return size
    return max(size, _scratch_size(x_shape, w_shape, y_shape, PAIRS_TILE, PAIRS_TILE, pooled))


def _scratch_size(x_shape: Any, w_shape: Any, y_shape: Any, of_y: int, of_x: int, pooled: bool) -> int:
    """of_y, of_x: outputs of a tile of y and of one of the gradient of x."""
    taps, _, c, k = w_shape
    matrix, count = _matrix.py_func, (of_y + taps - 1) ** 2
    of_c, of_k = min(c, CHANNELS), min(k, CHANNELS)
    tiles, _, _ = _blocks.py_func(of_y, taps, y_shape, SUM_BLOCK, of_c, of_k)
    _, parts = _parts.py_func(of_y, y_shape, c, k)
    near = _near.py_func(SPREAD, of_y, of_y, y_shape, 1, of_k) if pooled else 0
    gradient = count * (matrix(tiles, of_c) + matrix(tiles, of_k)) + near
    sums = parts * (_part_size.py_func(count, c, k) + LINE)
    forward, weights = _forward_sizes(POOLED if pooled else PLAIN, of_y, taps, y_shape, c, k)
    backward, flipped = _forward_sizes(SPREAD if pooled else PLAIN, of_x, taps, x_shape, k, c)
    shared = max(sums, weights, taps * taps * c * k + flipped)
    own = max(gradient, forward, backward, (shared + CHUNKS - 1) // CHUNKS)
    return int(3 * CHUNKS * (own + LINE))


def _forward_sizes(way: int, outputs: int, taps: int, y_shape: Any, c: int, k: int) -> tuple[int, int]:
    """Return the elements for a block, and for the transformed weights."""
    tiles, rows, _ = _blocks.py_func(outputs, taps, y_shape, BLOCK, c, k)
    matrix, inputs = _matrix.py_func, outputs + taps - 1
    near, count = _near.py_func(way, outputs, inputs, y_shape, rows, c if way == SPREAD else k), inputs**2
    return count * (matrix(tiles, c) + matrix(tiles, k)) + near, count * matrix(c, k)


@kernel
def _places(scratch):
    """Return where the parts of a gradient begin in scratch, where the blocks of the threads, and their distance.

    The weights lie before the parts. The borders depend on the size of scratch alone, so that in all layers of a model
    a thread writes to memory that it wrote before: the step of a VGG-like network takes 31 instead of 35 ms on cores
    that share no L3, half of it for this.
    """
    apart = scratch.size // (3 * CHUNKS) // LINE * LINE
    return CHUNKS * apart, 2 * CHUNKS * apart, apart


@kernel
def _near(way, outputs, reach, shape, rows, channels):
    """Return the elements of rows of outputs between pooling and `rows` rows of tiles, which see `reach` pixels."""
    across = tiles_of(outputs, shape)[1]
    if way == POOLED:
        return (1 + rows * outputs) * across * outputs * channels
    return reach * (across * outputs + reach - outputs) * channels if way == SPREAD else 0


@kernel
def _outputs(like, taps, shape):
    return tile_outputs(taps, shape) if numbers(like) == 1 else PAIRS_TILE


@kernel
def _blocks(outputs, taps, shape, size, c, k):
    """Return tiles in a block, rows of tiles in a block, and chunks, for outputs (N, P, Q, ...)."""
    down, across = tiles_of(outputs, shape)
    down *= shape[0]
    chunks = _pieces(down, across, FEW, CHUNKS)
    wanted = min(MOST, max(FEWEST, size // ((outputs + taps - 1) ** 2 * (c + k))))
    rows = min(max(1, wanted // across), (down + chunks - 1) // chunks)
    return rows * across, rows, chunks


@kernel
def _pieces(down, across, least, most):
    """Return into how many pieces to cut rows of tiles: at most `most`, of at least `least` tiles, but two.

    The weight gradient of (64, 8, 8, 64) to 128 channels: 1.22 ms with 2 instead of 1.59 with 4.
    """
    return min(most, down, max(2, down * across // (2 * least) * 2))


@kernel
def _matrix(rows, columns):
    """Return the elements from one of the matrices to the next, its rows filled up to whole panels."""
    return rows * ((columns + 31) // 32 * 32) + LINE


@kernel
def winograd(like, way, taps, x, x_shape, w, b, padding, activation, alpha, scratch, used, index, y, y_shape):
    """y (N, P, Q, K) = f(x (N, H, W, C) * w (taps, taps, C, K) + b). All but scratch: addresses; b 0: none.

    like: an array of the products' elements. Those of pairs have half the terms: channel i goes with i + (C + 1) // 2.
    scratch: an array, of which the first `used` elements are not touched.
    way: POOLED: index and y are those of the pooled outputs, P and Q even, and f is `rectify` of `pool_rows`. SPREAD: x
    is made of index and x, (N, H/2, W/2, C), by `spread_rows`.
    """
    c, (images, p, q, k) = x_shape[3], y_shape
    outputs = _outputs(like, taps, y_shape)
    tile, at = (outputs, outputs + taps - 1), transform_address(like, outputs)
    tiles, rows, chunks = _blocks(outputs, taps, y_shape, BLOCK, c, k)
    weights, (_, own, apart) = address(scratch, used), _places(scratch)
    run(_weight_chunk, CHUNKS, 16 * c * k, (like, tile, at, c, k, w, weights))
    run_in_places(_chunk, chunks, images * p * q * k * c // 4,
                  (like, way, tile, at, chunks, rows, tiles, x, x_shape, b, padding, activation, alpha, weights,
                   address(scratch, own), apart, index, y, y_shape))  # fmt: skip


@kernel
def _weight_chunk(chunk, like, tile, transforms, c, k, w, to):
    """Transform the weights of some input channels, into panels of output channels."""
    size, depth, (outputs, inputs) = like.itemsize, _terms(like, c), tile
    width, matrix, row = PANEL // size, _matrix(depth, k), (inputs - outputs + 1) * c * k
    for i in range(chunk * depth // CHUNKS, (chunk + 1) * depth // CHUNKS):
        transform(transforms, WEIGHTS, k, w + i * k * size, row, c * k, to + i * width * size, inputs * matrix,
                  matrix, depth * width, 0, 0, 0, 0, 0,
                  w + (i + depth) * k * size, k if i + depth < c else 0, 0, 0)  # fmt: skip


@kernel
def _terms(like, count):
    """Return how many elements hold `count` numbers."""
    return (count + numbers(like) - 1) // numbers(like)


@kernel
def _chunk(chunk, place, like, way, tile, transforms, chunks, rows, tiles, x, x_shape, b, padding, activation,
           alpha, weights, own, apart, index, y, y_shape):  # fmt: skip
    """The outputs of some rows of tiles, a block after another."""
    (images, p, q, k), (_, height, wide, c), size = y_shape, x_shape, like.itemsize
    width, depth = PANEL // size, _terms(like, c)
    (outputs, inputs), (down, across) = tile, tiles_of(tile[0], y_shape)
    count = inputs * inputs
    u_matrix, v_matrix, m_matrix = _matrix(depth, k), _matrix(tiles, depth), _matrix(tiles, k)
    v = own + place * apart * size
    m = v + count * v_matrix * size
    near, line = m + count * m_matrix * size, across * outputs * k
    first, stop = chunk * images * down // chunks, (chunk + 1) * images * down // chunks
    if way == POOLED and outputs % 2 == 1:  # a window of two rows of tiles belongs to one chunk
        first, stop = first - first % down % 2, stop - stop % down % 2
    while first < stop:
        last = first + _share(stop - first, rows)
        if way == SPREAD:
            _spread_tiles(like, tile, transforms, INPUT, index, x, x_shape, 0, c, first, last, down, across, padding,
                          inputs, near, v, c, width, v_matrix)  # fmt: skip
        else:
            _tiles(size, tile, transforms, INPUT, x, (height, wide, c), depth, first, last, down, across, padding,
                   inputs, v, depth, width, v_matrix, 0, depth, c - depth, 0, 0)  # fmt: skip
        for i in range(count):
            # The bias belongs to every output of a tile, as the product at point 1 of both axes does.
            bias = b if i == inputs + 1 else 0
            for j in range(0, k, width):
                gemm(like, (last - first) * across, min(width, k - j), 1, depth, v + i * v_matrix * size, depth, 0, 1,
                     weights + (i * u_matrix + j * depth) * size, 0, width, m + (i * m_matrix + j) * size, k,
                     bias + j * size if bias != 0 else 0, 0)  # fmt: skip
        if way == POOLED:  # whole tiles below a row that is left over from the last block
            here = last - first
            _tiles(size, tile, transforms, OUTPUT, near + line * size, (here * outputs, across * outputs, k), k,
                   0, here, here, across, (0, 0), outputs, m, k, width, m_matrix, NEAR, 0, 0, 0, 0)  # fmt: skip
            for row in range(first, last):
                h = row % down * outputs
                pool_rows(like, near + (1 + (row - first) * outputs) * line * size, min(outputs, p - h), line,
                          row // down, h, y_shape, activation, index, y)  # fmt: skip
            copy(like, 1, line, near + here * outputs * line * size, line, near, line)
        else:
            _tiles(size, tile, transforms, OUTPUT, y, (p, q, k), k, first, last, down, across, (0, 0), outputs, m, k,
                   width, m_matrix, tile_flags(activation), 0, 0, 0, 0)  # fmt: skip
            for row in range(first, last):
                n, h = row // down, row % down * outputs
                activate(like, activation, alpha, y + (n * p + h) * q * k * size, min(outputs, p - h) * q * k)
        first = last


@kernel
def _share(left, most):
    """Return the length of the next block when the `left` rows are cut into blocks of equal length, at most `most`."""
    blocks = (left + most - 1) // most
    return (left + blocks - 1) // blocks


@kernel
def _tiles(size, tile, transforms, kind, image, shape, channels, first, last, down, across, padding, reach, block,
           step, panel, matrix, flags, apart, seconds, rows_apart, stop):  # fmt: skip
    """Transform rows of tiles from images, or to them: `reach` pixels each way, and `channels` from address `image` on.

    An image has the shape (H, W, C) and down x across tiles. step, panel, matrix: elements of the block between tiles,
    panels and matrices. The other half of a pair is `apart` channels further, of which `seconds` exist, or `rows_apart`
    rows, before `stop`.
    """
    height, width, c = shape
    outputs, matrices = tile[0], tile[1] * matrix
    for row in range(first, last):
        n, h = row // down, row % down * outputs - padding[0]
        h0, h1 = max(0, -h), min(reach, height - h)
        second = row + rows_apart
        second_n, second_h = second // down, second % down * outputs - padding[0]
        second_h0, second_h1 = max(0, -second_h), min(reach, height - second_h)
        if rows_apart > 0 and second >= stop:
            second_h1 = second_h0
        for j in range(across):
            v = outputs * j - padding[1]
            v0, v1 = max(0, -v), min(reach, width - v)
            pixel = image + ((n * height + h) * width + v) * c * size
            source, to = (block, pixel) if kind == OUTPUT else (pixel, block)
            source_row, source_column = (matrices, matrix) if kind == OUTPUT else (width * c, c)
            to_row, to_column = (width * c, c) if kind == OUTPUT else (matrices, matrix)
            other = image + (((second_n * height + second_h) * width + v) * c + apart) * size
            transform(transforms, kind, channels, source, source_row, source_column, to, to_row, to_column, panel,
                      h0, h1, v0, v1, flags, other, seconds, second_h0, second_h1)  # fmt: skip
            block += step * size


@kernel
def _spread_tiles(like, tile, transforms, kind, index, dy, shape, at, channels, first, last, down, across, padding,
                  reach, near, block, step, panel, matrix):  # fmt: skip
    """As _tiles, for `channels` from number `at` on of the gradient (N, P, Q, K) of which `near` gets some rows."""
    size, outputs = like.itemsize, tile[0]
    wide = across * outputs + reach - outputs
    for row in range(first, last):
        spread_rows(like, index, dy, shape, row // down, at, channels, row % down * outputs - padding[0], reach,
                    padding[1], wide, near)  # fmt: skip
        _tiles(size, tile, transforms, kind, near, (reach, wide, channels), channels, 0, 1, 1, across, (0, 0), reach,
               block + (row - first) * across * step * size, step, panel, matrix, NEAR, 0, 0, 0, 0)  # fmt: skip


@kernel
def winograd_weight_gradient(like, way, taps, x, x_shape, index, dz, dz_shape, padding, scratch):
    """Write the sums of dw and db over some parts of the tiles to the array `scratch`.

    like, addresses: see `winograd`. way: SPREAD: index and dz are those of pooled outputs, and make dz.
    Return how many parts there are, the elements from one to the next, and where the first begins.
    """
    c, (images, p, q, k), outputs = x_shape[3], dz_shape, _outputs(like, taps, dz_shape)
    tile, at = (outputs, outputs + taps - 1), transform_address(like, outputs)
    tiles, rows, _ = _blocks(outputs, taps, dz_shape, SUM_BLOCK, min(c, CHANNELS), min(k, CHANNELS))
    chunks, parts = _parts(outputs, dz_shape, c, k)
    first, own, apart = _places(scratch)
    part_size = CHUNKS * apart // parts // LINE * LINE
    run_in_places(_part_chunk, chunks, images * p * q * k * c // 4,
                  (like, way, tile, at, parts, rows, tiles, x, x_shape, index, dz, dz_shape, padding,
                   address(scratch, first), part_size, address(scratch, own), apart))  # fmt: skip
    size, half = (taps * taps * c + 1) * k, parts // 2
    if half < 2 or parts % 2 == 1 or parts * size < MANY_SUMS:
        return parts, part_size, first
    run(_half_chunk, 2 * CHUNKS, parts * size, (half, part_size, scratch[first:], size))
    return 2, half * part_size, first


@kernel
def _half_chunk(chunk, parts, part_size, scratch, size):
    """Add the parts of one half of the images into the first of them, for some weights: each is in one chip's cache."""
    piece, begin = chunk % CHUNKS, chunk // CHUNKS * parts * part_size
    first, last = piece * size // CHUNKS, (piece + 1) * size // CHUNKS
    sum_parts(parts, part_size, scratch, begin + first, scratch[begin + first : begin + last])


@kernel
def _parts(outputs, shape, c, k):
    """Return chunks and parts: a chunk is the sum over one part of the tiles for CHANNELS of x and of dz."""
    blocks = ((c + CHANNELS - 1) // CHANNELS) * ((k + CHANNELS - 1) // CHANNELS)
    down, across = tiles_of(outputs, shape)
    parts = _pieces(shape[0] * down, across, MANY, max(1, CHUNKS // blocks))
    return parts * blocks, parts


@kernel
def _part_size(count, c, k):
    """Return the elements of one part: `count` matrices (C, K), and db."""
    return count * c * k + (k + 15) // 16 * 16


@kernel
def _part_chunk(chunk, place, like, way, tile, transforms, parts, rows, tiles, x, x_shape, index, dz, dz_shape,
                padding, sums, part_size, own, apart):  # fmt: skip
    """The sums over one part for one block of channels: dw (taps, taps, C, K), then db (K,)."""
    (images, p, q, k), (_, height, wide, c), size = dz_shape, x_shape, like.itemsize
    across_c, across_k = (c + CHANNELS - 1) // CHANNELS, (k + CHANNELS - 1) // CHANNELS
    # All blocks of a part follow each other: its images are in the cache of the thread that had them in other passes.
    part, block = chunk // (across_c * across_k), chunk % (across_c * across_k)
    from_c, from_k = block // across_k * CHANNELS, block % across_k * CHANNELS
    of_c, of_k = min(CHANNELS, c - from_c), min(CHANNELS, k - from_k)
    (outputs, inputs), (down, across) = tile, tiles_of(tile[0], dz_shape)
    taps = inputs - outputs + 1
    width, count = PANEL // size, inputs * inputs
    v_matrix, z_matrix = _matrix(tiles, min(c, CHANNELS)), _matrix(tiles, min(k, CHANNELS))
    sums += part * part_size * size
    db = sums + (count * c * k + from_k) * size
    v = own + place * apart * size
    z = v + count * v_matrix * size
    near = z + count * z_matrix * size
    first, stop = part * images * down // parts, (part + 1) * images * down // parts
    flags = FAR
    while first < stop:
        last = first + _share(stop - first, rows)
        down_block = _terms(like, last - first)  # pairs are of tiles, the other one so many rows further
        middle, terms = first + down_block, down_block * across
        _tiles(size, tile, transforms, INPUT, x + from_c * size, (height, wide, c), of_c, first, middle, down,
               across, padding, inputs, v, of_c, width, v_matrix, 0, 0, of_c, down_block, last)  # fmt: skip
        if way == SPREAD:
            _spread_tiles(like, tile, transforms, GRADIENT, index, dz, dz_shape, from_k, of_k, first, last, down,
                          across, (0, 0), outputs, near, z, width, terms * width, z_matrix)  # fmt: skip
        else:
            _tiles(size, tile, transforms, GRADIENT, dz + from_k * size, (p, q, k), of_k, first, middle, down,
                   across, (0, 0), outputs, z, width, terms * width, z_matrix, 0, 0, of_k, down_block,
                   last)  # fmt: skip
        for i in range(count):
            for j in range(0, of_k, width):
                gemm(like, of_c, min(width, of_k - j), 1, terms, v + i * v_matrix * size, 1, 0, of_c,
                     z + (i * z_matrix + j * terms) * size, 0, width,
                     sums + ((i * c + from_c) * k + from_k + j) * size, k, 0, flags)  # fmt: skip
        for j in range(0, of_k if from_c == 0 else 0, width):  # at point 1 of both axes: the sum of a tile's gradients
            gemm(like, 1, min(width, of_k - j), 1, terms, one(like), 0, 0, 0,
                 z + ((inputs + 1) * z_matrix + j * terms) * size, 0, width, db + j * size, k, 0, flags)  # fmt: skip
        first, flags = last, ACCUMULATE | FAR
    for i in range(of_c):  # in place: a vector is read before it is written
        row = sums + ((from_c + i) * k + from_k) * size
        transform(transforms, SUMS, of_k, row, inputs * c * k, c * k, row, taps * c * k, c * k, width, 0, 0, 0, 0, 0,
                  0, 0, 0, 0)  # fmt: skip
    if from_c == 0:
        copy(like, 1, of_k, db, k, sums + (taps * taps * c * k + from_k) * size, k)
