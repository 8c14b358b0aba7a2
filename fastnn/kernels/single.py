"""The gradients of an inner convolution behind 2x2 pooling, from the one place of each window that has a gradient.

Its weights, and its input: no array of the outputs' gradient, and a quarter of the products (see _single.py). For 3x3
and 5x5 kernels on 5 to 8 channels. Batch 64, two threads, in us: gradients of pooling, weights and input on their own,
and these, of weights and input:

    14x14x6 to 16, 5x5    17   199   177     103   112        14x14x8 to 16, 5x5    17   263   219     112   112
    14x14x6 to 6, 5x5      9    85    79      52    57        14x14x6 to 16, 3x3    18   102   103      66    80
    28x28x6 to 16, 5x5    64   848  1669     433   517        16x16x8 to 20, 3x3    26   312   215     105   121

With AVX2 (Zen 3), in turns, gradients of ReLU, pooling and weights, of the input, and these of weights and input:

    14x14x6 to 16, 5x5     279   203     122   130            14x14x8 to 16, 5x5     350   383     119   119
    14x14x6 to 6, 5x5      208    94      64    65            14x14x6 to 16, 3x3     151   117      57    87
    28x28x6 to 16, 5x5    1478  1463     717   747            16x16x8 to 20, 3x3     525   457     113   169
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from ._jit import kernel
from ._lanes import LANES, MASKS_ARE_FREE, add, load, store
from ._memory import address, stack_array, transpose
from ._simd import VECTOR_BYTES
from ._single import SIZES, UNIT, copy_unit, placed, single_inputs, single_weights, where_placed
from ._windows import CHUNKS

ROOM, PLACES = 32768, 8192  # elements on the stack: sums and pixels, and places of windows and their gradients
PLACES_READ = PLACES + LANES  # with what is read behind them
NEAR = 4096  # the same of the pixels of some images, which L1 holds
LEAST = 5  # channels


def single_scratch_size(x_shape: Any, w_shape: Any, y_shape: Any, itemsize: int) -> int:
    """Return the number of elements that both gradients want as scratch; 0: not for these shapes."""
    (images, _, _, c), (taps_h, taps_w, _, k), (_, rows, columns, _) = x_shape, w_shape, y_shape
    tall, wide, table = 2 * rows + taps_h - 1, 2 * columns + taps_w - 1, table_pixels.py_func(taps_h, k)
    pixels = max(tall * wide, NEAR // UNIT) + k * (taps_h * taps_w + 1) + 2
    fits = pixels <= ROOM // UNIT and rows * columns * k <= PLACES and table < 1 << 16
    if VECTOR_BYTES < 4 * UNIT or itemsize != 4 or taps_h != taps_w or taps_h not in SIZES or not fits:
        return 0
    if c < LEAST or c > UNIT:
        return 0
    return int(max(min(images, CHUNKS) * (taps_h * taps_w * c + 1) * k, table * UNIT + 64 // itemsize))


@kernel
def single_weight_chunk(part, parts, x, index, dy, padding, scratch, dw):
    """The sum over one part of the images, into the part's scratch: dw's elements, then db's."""
    (_, height, width, c), (taps, _, _, k) = x.shape, dw.shape
    images, rows, columns, _ = dy.shape
    tall, wide, windows = 2 * rows + taps - 1, 2 * columns + taps - 1, rows * columns
    memory, gradient = stack_array(x, ROOM), stack_array(x, PLACES_READ)
    places, bases = stack_array(index, PLACES), stack_array(index, PLACES)
    sums, image = taps * taps * UNIT, tall * wide * UNIT
    pixels = (k * (sums + UNIT) + 15) // 16 * 16  # of some images, behind dw's sums and db's
    end = (part + 1) * images // parts
    together = max(1, min(NEAR // image, PLACES // (windows * k), end - part * images // parts))
    for i in range(together * windows):
        p, q = i % windows // columns, i % columns
        bases[i * k : (i + 1) * k] = (i // windows * tall + 2 * p) * wide + 2 * q
    memory[: pixels + together * image] = 0
    for first in range(part * images // parts, end, together):
        several = min(together, end - first)
        for n in range(several):
            for h in range(padding[0], min(height + padding[0], tall)):
                row = ((first + n) * height + h - padding[0]) * width * c
                to = pixels + n * image + (h * wide + padding[1]) * UNIT
                for v in range(min(width, wide - padding[1])):
                    _copy_pixel(c, x, row + v * c, x.size, memory, to + v * UNIT, memory.size)
        count = several * windows
        _mark(index, dy, first * windows * k, count * k, wide, 1, bases, places, gradient)
        for j in range(0, k, LANES):
            total = load(memory, k * sums + j, LANES)  # of which those behind k are not read
            for i in range(count):
                total = add(total, load(gradient, i * k + j, LANES))
            store(memory, k * sums + j, LANES, total)
        for i in range(k):
            single_weights(taps, count, k, address(memory, pixels), wide, address(places, i), address(gradient, i),
                           address(memory, i * sums))  # fmt: skip
    result = scratch[part * (dw.size + k) : (part + 1) * (dw.size + k)]
    last = taps * taps - 1
    for tap in range(last):  # behind c channels lies what the next tap overwrites
        transpose(x, k, UNIT, address(memory, tap * UNIT), sums, address(result, tap * c * k), k)
    for i in range(k):
        for channel in range(c):
            result[(last * c + channel) * k + i] = memory[i * sums + last * UNIT + channel]
        result[dw.size + i] = memory[k * sums + i]


@kernel
def _copy_pixel(c, source, at, end, to, there, until):
    """Copy c elements, and with them what is beside them in both arrays, before `end` and `until`.

    Masked access is as fast with AVX-512 only: with AVX2 14x14x6 to 16, 5x5, input: 309 to 226 us on one thread.
    """
    if MASKS_ARE_FREE or at + UNIT > end or there + UNIT > until:
        store(to, there, c, load(source, at, c))
    else:
        copy_unit(address(source, at), address(to, there))


@kernel
def _mark(index, dy, at, count, down, along, bases, places, gradient):
    """Write `count` places, which are `down` and `along` from the bases, and gradients, both from `at` on.

    Where index says nowhere, because of ReLU, the gradient is 0.
    """
    for i in range(0, count, LANES):
        place = load(index, at + i, count - i)
        store(places, i, count - i, placed(load(bases, i, count - i), place, down, along))
        store(gradient, i, count - i, where_placed(place, load(dy, at + i, count - i)))


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
        _mark(index, dy, n * windows * k, windows * k, -(taps + 1), -1, bases, places, gradient)
        memory[: tall * wide * UNIT] = 0
        for p in range(rows):
            single_inputs(taps, columns, k, table, address(places, p * row), address(gradient, p * row),
                          address(memory, 2 * p * wide * UNIT), wide)  # fmt: skip
        for h in range(height):
            to = (n * height + h) * width * c
            inside = max(0, min(width, wide - padding[1])) if h + padding[0] < tall else 0
            source = ((h + padding[0]) * wide + padding[1]) * UNIT
            for v in range(inside):
                _copy_pixel(c, memory, source + v * UNIT, memory.size, dx, to + v * c, (n + 1) * height * width * c)
            dx.reshape(-1)[to + inside * c : to + width * c] = 0
