"""A 5x5 convolution with 2x2 max pooling and ReLU by Winograd's products, with images as lanes (see _lanewise.py).

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
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

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
    lane_products,
    lane_tile,
    lane_weights,
    lane_windows,
    narrowed,
)
from ._memory import address, stack_array, transpose

ROOM = 65536  # elements on the stack
# Channels times outputs from which it pays, and channels to which.
LIGHT, MANY = (16, 12) if MASKS_ARE_FREE else (32, 16)


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
def _high(c, k, columns):
    """Return how many rows of windows a chunk can take at once."""
    row = (WINDOW * columns + TAPS - 1) * c
    return (ROOM // WIDTH - _fixed(c, k, columns)[5] - (TAPS - 1) * row) // (2 * columns * k + WINDOW * row)


@kernel
def is_lanewise(w_shape, columns, itemsize):
    """Return whether `lanewise_chunk` does it."""
    taps_h, taps_w, c, k = w_shape
    return (WIDTH >= 8 and itemsize == 4 and taps_h == TAPS and taps_w == TAPS and c * k >= LIGHT and c <= MANY
            and k % OUTPUTS == 0 and _high(c, k, columns) > 0)  # fmt: skip


@kernel
def lanewise_chunk(chunk, cut, x, w, b, padding, rectify, index, y):
    """A band of rows of y for one group of images; index as `conv2d_pool_forward` has it."""
    c, k = w.shape[2:]
    images, rows, columns, _ = y.shape
    group, band = chunk // cut, chunk % cut
    n = group * WIDTH
    count = min(WIDTH, images - n)
    memory = stack_array(x, ROOM)
    columns_at, tiles, sums, biases, places_row, outputs = _fixed(c, k, columns)
    row, side = (WINDOW * columns + TAPS - 1) * c, columns * k
    first, last = band * rows // cut, (band + 1) * rows // cut
    high = min(last - first, _high(c, k, columns))
    places = high * side
    inputs, tile = outputs + 2 * places, SIDE * SIDE * c
    for i in range(k):
        memory[biases * WIDTH + i] = b[i] if b.size > 0 else 0.0
    for k0 in range(0, k, WIDTH):
        for channel in range(c):
            lane_weights(address(w, channel * k + k0), c * k, k - k0,
                         address(memory, ((k0 // WIDTH * SIDE * c + channel) * SIDE) * WIDTH), c * SIDE)  # fmt: skip
    for p0 in range(first, last, high):
        end = min(p0 + high, last)
        top, tall = WINDOW * p0 - padding[0], WINDOW * (end - p0) + TAPS - 1
        for h in range(top, top + tall):
            image_row(n, count, h, x, padding[1], (inputs + (h - top) * row) * WIDTH, row * WIDTH, memory)
        windows = (end - p0) * columns
        for window in range(windows):
            p, q = window // columns, window % columns
            for channel in range(c):
                z = address(memory, (columns_at + channel * (row // c) * SIDE) * WIDTH)
                if q == 0:
                    lane_columns(address(memory, (inputs + WINDOW * p * row + channel) * WIDTH), row, c, row // c,
                                 z)  # fmt: skip
                lane_tile(z + WINDOW * q * SIDE * BYTES,
                          address(memory, (tiles + window % TILES * tile + channel * SIDE) * WIDTH),
                          c * SIDE)  # fmt: skip
            if window % TILES == TILES - 1 or window == windows - 1:
                before = window // TILES * TILES
                for k0 in range(0, k, WIDTH):
                    pairs = min(WIDTH, k - k0) // OUTPUTS
                    lane_products(pairs, c, address(memory, tiles * WIDTH),
                                  address(memory, (tiles + (window - before) * tile) * WIDTH),
                                  address(memory, k0 * SIDE * SIDE * c), address(memory, sums * WIDTH))  # fmt: skip
                    lane_windows(pairs, address(memory, sums * WIDTH), address(memory, biases * WIDTH + k0),
                                 rectify, address(memory, (outputs + before * k + k0) * WIDTH),
                                 address(memory, (outputs + window * k + k0) * WIDTH), places * BYTES)  # fmt: skip
        for p in range(p0, end):
            source, to = (outputs + (p - p0) * side) * WIDTH, (n * rows + p) * side
            transpose(x, side, count, address(memory, source), WIDTH, address(y, to), rows * side)
            lane_places(count, side, source + places * WIDTH, places_row * WIDTH, to, rows * side, memory, index)


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
