"""A 5x5 convolution by Winograd's products with images as lanes (see _lanewise.py), with 2x2 max pooling or without.

Two tiles at a time pass from rows of the images to windows of y within L1. Largest error relative to the largest output
1e-6. Batch 64, two threads, in us, direct products and these, in turns, further in, then as first layers:

    14x14x1 to 16     36    29        14x14x6 to 16    150    93
    14x14x4 to 8      55    42        14x14x12 to 16   286   192
    14x14x6 to 6      62    51        12x12x15 to 32   446   446

    28x28x1 to 6, same     89    90        28x28x1 to 32, same   437    368
    28x28x1 to 8           84    81        32x32x3 to 16         589    416
    28x28x1 to 16         164   148        32x32x3 to 32, same  1545   1018

With AVX2 (Zen 3), in turns, further in, convolution, pooling and ReLU on their own and these:

    14x14x6 to 6     107    86        14x14x8 to 16    326   204
    14x14x6 to 16    262   166        28x28x6 to 16   1073   978

Without pooling, times the speed of the other ways (narrow.py, conv.py) in turns, AVX-512:

    28x28x1 to 6, same     1.11       28x28x1 to 20          1.28       14x14x6 to 16          1.44
    28x28x1 to 16, same    1.16       32x32x3 to 6           1.36       14x14x12 to 16, same   1.33
    28x28x1 to 32, same    0.97       32x32x3 to 32, same    1.20       12x12x10 to 32, same   1.39

AVX2's settings: 28x28x1 to 20 1.25, 14x14x6 to 16 1.29, 32x32x3 to 32 1.09, 14x14x12 to 16 1.00.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._epilogue import activate
from ._jit import kernel
from ._lanes import LANES, MASKS_ARE_FREE, load, store
from ._lanewise import (
    BYTES,
    OUTPUTS,
    PART,
    SIDE,
    TAPS,
    TILES,
    WIDTH,
    WINDOW,
    lane_columns,
    lane_outputs,
    lane_products,
    lane_tile,
    lane_weights,
    lane_windows,
    narrowed,
)
from ._memory import address, stack_array, transpose
from .activation import RELU

ROOM, PLAIN_ROOM = 65536, 98304  # elements on the stack, with pooling and without
POOLED, PLAIN = 2, WINDOW * WINDOW  # vectors of a window's output: its largest and its place, or all
# Channels times outputs from which it pays, and channels to which; outputs to which it does without pooling.
LIGHT, MANY = (16, 12) if MASKS_ARE_FREE else (32, 16)
WIDE = 32


@kernel
def _fixed(c, k, columns):
    """Return how many vectors of memory a chunk needs whatever its rows, and where its parts begin.

    Weights, transformed columns of a row, tiles, sums, biases and a row of places.
    """
    columns_at = (k + WIDTH - 1) // WIDTH * SIDE * SIDE * c
    tiles = columns_at + (WINDOW * columns + TAPS - 1) * SIDE * c
    sums = tiles + TILES * SIDE * SIDE * c
    biases = sums + WIDTH // OUTPUTS * SIDE * PART
    row = biases + (k + WIDTH - 1) // WIDTH
    return columns_at, tiles, sums, biases, row, row + columns * k


@kernel
def _high(c, k, columns, room, values):
    """Return how many rows of windows a chunk can take at once, with so many vectors for a window's output."""
    row = (WINDOW * columns + TAPS - 1) * c
    return (room // WIDTH - _fixed(c, k, columns)[5] - (TAPS - 1) * row) // (values * columns * k + WINDOW * row)


@kernel
def _pays(w_shape, itemsize):
    taps_h, taps_w, c, k = w_shape
    return (WIDTH >= 8 and itemsize == 4 and taps_h == TAPS and taps_w == TAPS and c * k >= LIGHT and c <= MANY
            and k % OUTPUTS == 0)  # fmt: skip


@kernel
def is_lanewise(w_shape, columns, itemsize):
    """Return whether `lanewise_chunk` does it."""
    return _pays(w_shape, itemsize) and _high(w_shape[2], w_shape[3], columns, ROOM, POOLED) > 0


@kernel
def is_lanewise_without_pooling(images, w_shape, columns, itemsize, stride, dilation, groups):
    """Return whether `lane_outputs_chunk` does it."""
    plain = max(stride) == 1 and max(dilation) == 1 and groups == 1
    return (_pays(w_shape, itemsize) and w_shape[3] <= WIDE and images >= LANES and plain
            and _high(w_shape[2], w_shape[3], (columns + 1) // WINDOW, PLAIN_ROOM, PLAIN) > 0)  # fmt: skip


@kernel
def lanewise_chunk(chunk, cut, x, w, b, padding, rectify, index, y):
    """A band of rows of y for one group of images; index as `conv2d_pool_forward` has it."""
    c, k = w.shape[2:]
    images, rows, columns, _ = y.shape
    group, band = chunk // cut, chunk % cut
    n = group * WIDTH
    count = min(WIDTH, images - n)
    memory = stack_array(x, ROOM)
    _, _, _, _, places_row, outputs = _fixed(c, k, columns)
    side, first, last = columns * k, band * rows // cut, (band + 1) * rows // cut
    high = min(last - first, _high(c, k, columns, ROOM, POOLED))
    places = high * side
    _weights(w, b, columns, memory)
    for p0 in range(first, last, high):
        end = min(p0 + high, last)
        _window_rows(n, count, p0, end, columns, outputs + POOLED * places, places, x, w.shape, padding, rectify,
                     memory)  # fmt: skip
        for p in range(p0, end):
            source, to = (outputs + (p - p0) * side) * WIDTH, (n * rows + p) * side
            transpose(x, side, count, address(memory, source), WIDTH, address(y, to), rows * side)
            lane_places(count, side, source + places * WIDTH, places_row * WIDTH, to, rows * side, memory, index)


@kernel
def lane_outputs_chunk(chunk, cut, x, w, b, padding, activation, alpha, y):
    """The same without pooling: a band of rows of windows of y, an odd number of rows or columns included."""
    c, k = w.shape[2:]
    images, rows, columns, _ = y.shape
    group, band = chunk // cut, chunk % cut
    n = group * WIDTH
    count = min(WIDTH, images - n)
    memory = stack_array(x, PLAIN_ROOM)
    down, across = (rows + 1) // WINDOW, (columns + 1) // WINDOW
    outputs, side = _fixed(c, k, across)[5], WINDOW * across * k
    first, last = band * down // cut, (band + 1) * down // cut
    high = min(last - first, _high(c, k, across, PLAIN_ROOM, PLAIN))
    _weights(w, b, across, memory)
    for p0 in range(first, last, high):
        end = min(p0 + high, last)
        _window_rows(n, count, p0, end, across, outputs + WINDOW * high * side, 0, x, w.shape, padding,
                     activation == RELU, memory)  # fmt: skip
        for h in range(WINDOW * p0, min(WINDOW * end, rows)):
            source = address(memory, (outputs + (h - WINDOW * p0) * side) * WIDTH)
            activate(x, activation, alpha, source, columns * k * WIDTH)
            transpose(x, columns * k, count, source, WIDTH, address(y, (n * rows + h) * columns * k),
                      rows * columns * k)  # fmt: skip


@kernel
def _weights(w, b, columns, memory):
    """Write the transformed weights and the biases to where `_window_rows` finds them."""
    c, k = w.shape[2:]
    biases = _fixed(c, k, columns)[3]
    for i in range(k):
        memory[biases * WIDTH + i] = b[i] if b.size > 0 else 0.0
    for k0 in range(0, k, WIDTH):
        for channel in range(c):
            lane_weights(address(w, channel * k + k0), c * k, k - k0,
                         address(memory, ((k0 // WIDTH * SIDE * c + channel) * SIDE) * WIDTH), c * SIDE)  # fmt: skip


@kernel
def _window_rows(n, count, p0, end, columns, inputs, places, x, w_shape, padding, rectify, memory):
    """Write rows p0..end-1 of windows of `count` images from number n on to the memory's outputs.

    Pooled, with places that many vectors further on, or where places is 0 the 2x2 outputs of each, in rows of y.
    inputs: where rows of x go.
    """
    c, k = w_shape[2:]
    columns_at, tiles, sums, biases, _, outputs = _fixed(c, k, columns)
    row, tile = (WINDOW * columns + TAPS - 1) * c, SIDE * SIDE * c
    top, tall = WINDOW * p0 - padding[0], WINDOW * (end - p0) + TAPS - 1
    for h in range(top, top + tall):
        image_row(n, count, h, x, padding[1], (inputs + (h - top) * row) * WIDTH, row * WIDTH, memory)
    windows = (end - p0) * columns
    for window in range(windows):
        p, q = window // columns, window % columns
        for channel in range(c):
            z = address(memory, (columns_at + channel * (row // c) * SIDE) * WIDTH)
            if q == 0:
                lane_columns(address(memory, (inputs + WINDOW * p * row + channel) * WIDTH), row, c, row // c, z)
            lane_tile(z + WINDOW * q * SIDE * BYTES,
                      address(memory, (tiles + window % TILES * tile + channel * SIDE) * WIDTH), c * SIDE)  # fmt: skip
        if window % TILES < TILES - 1 and window < windows - 1:
            continue
        before = window // TILES * TILES
        for k0 in range(0, k, WIDTH):
            pairs = min(WIDTH, k - k0) // OUTPUTS
            lane_products(pairs, c, address(memory, tiles * WIDTH),
                          address(memory, (tiles + (window - before) * tile) * WIDTH),
                          address(memory, k0 * SIDE * SIDE * c), address(memory, sums * WIDTH))  # fmt: skip
            total, bias = address(memory, sums * WIDTH), address(memory, biases * WIDTH + k0)
            if places > 0:
                lane_windows(pairs, total, bias, rectify, address(memory, (outputs + before * k + k0) * WIDTH),
                             address(memory, (outputs + window * k + k0) * WIDTH), places * BYTES)  # fmt: skip
            else:
                lane_outputs(pairs, total, bias, rectify,
                             address(memory, (outputs + _place(before, columns) * k + k0) * WIDTH),
                             address(memory, (outputs + _place(window, columns) * k + k0) * WIDTH),
                             WINDOW * columns * k * BYTES, k * BYTES)  # fmt: skip


@kernel
def _place(window, columns):
    """Return the number of a window's first pixel among rows of WINDOW * columns pixels."""
    return WINDOW * (window // columns * WINDOW * columns + window % columns)


@kernel
def lane_places(count, side, source, spare, to, image, memory, index):
    """Write `side` places of `count` images, lanes of memory[source:], to index from `to` on, images `image` apart.

    Memory from `spare` on is overwritten.
    """
    transpose(memory, side, count, address(memory, source), WIDTH, address(memory, spare), side)
    for n in range(count):
        for i in range(0, side, LANES):
            store(index, to + n * image + i, side - i, narrowed(load(memory, spare + n * side + i, side - i), index))


@kernel
def image_row(n, count, h, x, left, to, row, memory):
    """Write row h of `count` images from number n on, `left` zeros before it, to the `row` elements from `to` on."""
    _, height, width, c = x.shape
    given, begin = max(0, min(width * c, row // WIDTH - left * c)), min(left * c * WIDTH, row)
    if h < 0 or h >= height or count < WIDTH:
        memory[to : to + row] = 0
    memory[to : to + begin] = 0
    memory[to + begin + given * WIDTH : to + row] = 0
    if 0 <= h < height:
        transpose(x, count, given, address(x, (n * height + h) * width * c), height * width * c,
                  address(memory, to + begin), WIDTH)  # fmt: skip
