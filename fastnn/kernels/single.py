"""The gradients of an inner convolution behind 2x2 pooling, from the one place of each window that has a gradient.

Its weights, and its input: no array of the outputs' gradient, and a quarter of the products (see _single.py). For 3x3
and 5x5 kernels on 5 to 8 channels. Batch 64, two threads, in us: gradients of pooling, weights and input on their own,
and these, of weights and input:

    14x14x6 to 16, 5x5    17   199   177     103   112        14x14x8 to 16, 5x5    17   263   219     112   112
    14x14x6 to 6, 5x5      9    85    79      52    57        14x14x6 to 16, 3x3    18   102   103      66    80
    28x28x6 to 16, 5x5    64   848  1669     433   517        16x16x8 to 20, 3x3    26   312   215     105   121

(These with pixels of 8 channels as vectors. With rows of taps the weights' gradients take 94, 68 and 96, 75, 97 us in
loops of their own; 28x28x6 was not measured again.)

With AVX2 (Zen 3), in turns, gradients of ReLU, pooling and weights, of the input, and these of weights and input:

    14x14x6 to 16, 5x5     299   200     140   150            14x14x8 to 16, 5x5     361   405     142   157
    14x14x6 to 6, 5x5      202   103      76    85            14x14x6 to 16, 3x3     170   122     110   116
    28x28x6 to 16, 5x5    1473  1656     588   783            16x16x8 to 20, 3x3     562   462     145   222
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from ._emitter import VECTOR_BYTES
from ._jit import kernel
from ._lanes import LANES, MASKS_ARE_FREE, load, store
from ._memory import address, one, stack_array, transpose
from ._simd import ACCUMULATE, gemm
from ._single import (
    ACROSS,
    MOST_TAPS,
    SIZES,
    SUMS,
    UNIT,
    copy_unit,
    placed,
    single_inputs,
    single_weights,
    where_placed,
)
from ._windows import CHUNKS, padded_rows

ROOM, PLACES = 32768, 8192  # elements on the stack: sums and pixels, and places of windows and their gradients
NEAR = 2048  # the same of some images, which L1 holds
LEAST = 5  # channels


def single_scratch_size(x_shape: Any, w_shape: Any, y_shape: Any, itemsize: int) -> int:
    """Return the number of elements that both gradients want as scratch; 0: not for these shapes."""
    (images, _, _, c), (taps_h, taps_w, _, k), (_, rows, columns, _) = x_shape, w_shape, y_shape
    tall, wide, table = 2 * rows + taps_h - 1, 2 * columns + taps_w - 1, table_pixels.py_func(taps_h, k)
    fits = tall * wide <= ROOM // UNIT and rows * columns * k <= PLACES and table < 1 << 16
    fits = fits and is_single.py_func(w_shape, y_shape, itemsize)
    if VECTOR_BYTES < 4 * UNIT or itemsize != 4 or taps_h != taps_w or taps_h not in SIZES or not fits:
        return 0
    if c < LEAST or c > UNIT:
        return 0
    return int(max(single_weight_parts.py_func(images) * (taps_h * taps_w * c + 1) * k, table * UNIT + 64 // itemsize))


@kernel
def single_weight_parts(images):
    """Return into how many parts the weight gradient's images are cut."""
    return min(images, CHUNKS)


@kernel
def _vectors(taps_w, c):
    """Return how many vectors a row of taps has."""
    return (taps_w * c + UNIT - 1) // UNIT


@kernel
def _weight_sums(w_shape):
    """Return how many elements of memory the sums of all weights and biases take."""
    taps_h, taps_w, c, k = w_shape
    return (k * (taps_h * _vectors(taps_w, c) * UNIT + 1) + UNIT - 1) // UNIT * UNIT


@kernel
def _weight_block(images, w_shape, y_shape):
    """Return how many images, and rows of windows of each, a block has: 0 rows where not even one has room."""
    (taps_h, taps_w, c, k), (_, rows, columns, _) = w_shape, y_shape
    row = (2 * columns + taps_w - 1) * c
    room = ROOM - _weight_sums(w_shape) - ACROSS * UNIT
    high = min(rows, (PLACES // k - 1) // columns, (room // row - taps_h + 1) // 2)
    if high < rows:
        return 1, max(0, high)
    tall, windows = 2 * rows + taps_h - 1, rows * columns
    return max(1, min(images, min(room, NEAR) // (tall * row), (NEAR // k - 1) // windows)), high


@kernel
def is_single(w_shape, y_shape, itemsize):
    """Return whether `single_weight_chunk` does it."""
    across = _vectors(w_shape[1], w_shape[2])
    return itemsize == 4 and across <= ACROSS and _weight_block(1, w_shape, y_shape)[1] > 0


@kernel
def single_weight_chunk(part, parts, x, index, dy, padding, scratch, dw):
    """The sum over one part of the images, into the part's scratch: dw's elements, then db's."""
    (taps_h, taps_w, c, k), (images, rows, columns, _) = dw.shape, dy.shape
    memory, gradient = stack_array(x, ROOM), stack_array(x, PLACES)
    places, bases = stack_array(index, PLACES), stack_array(index, PLACES)
    first, end = part * images // parts, (part + 1) * images // parts
    most, high = _weight_block(end - first, dw.shape, dy.shape)
    across, row = _vectors(taps_w, c), (2 * columns + taps_w - 1) * c
    sums, pixels, line = taps_h * across * UNIT, _weight_sums(dw.shape), columns * k
    groups = (taps_h + min(MOST_TAPS, SUMS // across) - 1) // min(MOST_TAPS, SUMS // across)
    memory[:pixels] = 0
    image = (2 * high + taps_h - 1) * row
    for n in range(most):
        for p in range(high):
            for q in range(columns):
                to = ((n * high + p) * columns + q) * k
                bases[to : to + k] = n * image + 2 * p * row + 2 * q * c
    for n0 in range(first, end, most):
        several = min(most, end - n0)
        for p0 in range(0, rows, high):
            here = min(high, rows - p0)
            count = here * line
            for n in range(several):
                padded_rows(x, n0 + n, 2 * p0 - padding[0], 2 * here + taps_h - 1, padding[1], row // c, memory,
                            pixels + n * image)  # fmt: skip
                _mark(index, dy, ((n0 + n) * rows + p0) * line, count, row, c, bases, n * count, places, gradient)
            windows = several * here * columns
            for i in range(windows * k, (windows + 1) * k):  # an even number of windows
                places[i], gradient[i] = 0, 0.0
            gemm(x, 1, k, 1, windows, one(x), 0, 0, 0, address(gradient, 0), 0, k, address(memory, k * sums), 0, 0,
                 ACCUMULATE)  # fmt: skip
            for i in range(k):
                for group in range(groups):
                    r0, r1 = group * taps_h // groups, (group + 1) * taps_h // groups
                    single_weights(r1 - r0, across, (windows + 1) // 2 * 2, k, address(memory, pixels + r0 * row), row,
                                   address(places, i), address(gradient, i),
                                   address(memory, i * sums + r0 * across * UNIT))  # fmt: skip
    result = scratch[part * (dw.size + k) : (part + 1) * (dw.size + k)]
    for r in range(taps_h):
        transpose(x, k, taps_w * c, address(memory, r * across * UNIT), sums, address(result, r * taps_w * c * k), k)
    for i in range(k):
        result[dw.size + i] = memory[k * sums + i]


@kernel
def _mark(index, dy, at, count, down, along, bases, to, places, gradient):
    """Write `count` places, which are `down` and `along` from the bases, and gradients, from `at` on, to `to`.

    Where index says nowhere, because of ReLU, the gradient is 0.
    """
    for i in range(0, count, LANES):
        place = load(index, at + i, count - i)
        store(places, to + i, count - i, placed(load(bases, to + i, count - i), place, down, along))
        store(gradient, to + i, count - i, where_placed(place, load(dy, at + i, count - i)))


@kernel
def table_pixels(taps, k):
    """Return how many pixels the weights of k outputs take in the table of `single_table_chunk`."""
    return taps + 2 + k * (taps + 1) * (taps + 1)


@kernel
def table_begin(scratch):
    """Return where the table begins in scratch, on a cache line."""
    return (64 - address(scratch, 0) % 64) % 64 // scratch.itemsize


@kernel
def single_table_chunk(i, w, scratch):
    """Write an output's weights as rows of taps + 1 pixels, with zeros between, above and below, and one before."""
    taps, _, c, k = w.shape
    begin = table_begin(scratch)
    first, end = begin + table_pixels(taps, i) * UNIT, begin + table_pixels(taps, i + 1) * UNIT
    scratch[begin if i == 0 else first : end] = 0
    for r in range(taps):
        for s in range(taps):
            for channel in range(c):
                scratch[first + (r * (taps + 1) + s) * UNIT + channel] = w[r, s, channel, i]


@kernel
def single_input_chunk(part, parts, index, dy, w, padding, scratch, dx):
    """The images of one part."""
    (_, height, width, c), (taps, _, _, k) = dx.shape, w.shape
    images, rows, columns, _ = dy.shape
    tall, wide, windows = 2 * rows + taps - 1, 2 * columns + taps - 1, rows * columns
    memory, gradient = stack_array(dx, ROOM), stack_array(dx, PLACES)
    places, bases = stack_array(index, PLACES), stack_array(index, PLACES)
    for i in range(windows):
        for j in range(k):
            bases[i * k + j] = table_pixels(taps, j)
    table, row = address(scratch, table_begin(scratch)), columns * k
    for n in range(part * images // parts, (part + 1) * images // parts):
        _mark(index, dy, n * windows * k, windows * k, -(taps + 1), -1, bases, 0, places, gradient)
        memory[: tall * wide * UNIT] = 0
        for p in range(rows):
            single_inputs(taps, columns, k, table, address(places, p * row), address(gradient, p * row),
                          address(memory, 2 * p * wide * UNIT), wide)  # fmt: skip
        for h in range(height):
            to = (n * height + h) * width * c
            inside = max(0, min(width, wide - padding[1])) if h + padding[0] < tall else 0
            source = ((h + padding[0]) * wide + padding[1]) * UNIT
            for v in range(inside):
                at = to + v * c
                if MASKS_ARE_FREE or at + UNIT > (n + 1) * height * width * c:
                    store(dx, at, c, load(memory, source + v * UNIT, c))
                else:  # and with them what later pixels overwrite: with AVX2 309 to 226 us on one thread, 14x14x6 to 16
                    copy_unit(address(memory, source + v * UNIT), address(dx, at))
            dx.reshape(-1)[to + inside * c : to + width * c] = 0
