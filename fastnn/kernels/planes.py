"""A convolution of few channels with 2x2 max pooling and ReLU for few images, with neighbouring pixels as lanes.

Channels are planes, of the images and of the outputs. All pixels of an output are one row of the register tile, and its
terms are the taps, each of which sees the pixels one element further. So few outputs fill vectors, and pooling takes
the larger of neighbouring lanes. As many images as a vector has lanes are the lanes themselves (pooled.py). Emerald
Rapids, in us, convolution, pooling and ReLU on their own and these, in turns:

                   one image        15 images, two threads
    28x28x1 to 6, 5x5    11.0   5.2       78   25
    28x28x1 to 16, 5x5   12.4   7.4       82   57
    28x28x1 to 8, 3x3     7.8   2.9       53   20
    28x28x1 to 32, 3x3   12.7   8.4       83   69
    8x8x1 to 16, 3x3      3.7   1.2       13   11
    32x32x3 to 8, 3x3    12.8   9.7       98   78
    32x32x3 to 16, 3x3   14.1  15.9       99  123    not done so
    14x14x6 to 8, 3x3     6.4   3.7       42   28
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from ._jit import kernel
from ._lanes import LANES, add, load, most, neighbours, spread, store, where_positive
from ._memory import address, stack_array, transpose
from ._parallel import SMALL, run
from ._simd import ACCUMULATE, gemm
from ._windows import bands, padded_rows

ROOM = 65536  # elements on the stack: rows of an image, the same as planes, planes of outputs, and of those pooled
BEHIND = 4 * LANES  # elements behind each of them that are read or overwritten with it
MOST, MOST_CHANNELS = 64, 8  # outputs of one channel, and channels of less outputs than lanes, that it pays for


@kernel
def _high(w_shape, columns):
    """Return how many rows of windows have room at once."""
    taps_h, taps_w, c, k = w_shape
    row = (2 * columns + taps_w - 1) * c
    pooled = (columns + LANES - 1) // LANES * LANES * k
    return (ROOM - 4 * BEHIND - 2 * row * (taps_h - 1)) // (4 * row + 2 * row // c * k + pooled)


def has_conv2d_pool_inference(x_shape: Any, w_shape: Any, y_shape: Any, itemsize: int) -> bool:
    """Return whether `conv2d_pool_inference` is made for these shapes, and faster than the operations on their own."""
    _, taps_w, c, k = w_shape
    few = k <= MOST if c == 1 else c <= MOST_CHANNELS and k < LANES
    fits = taps_w <= BEHIND and _high.py_func(w_shape, y_shape[2]) > 0
    return bool(itemsize == 4 and x_shape[0] < LANES and few and fits)


@kernel
def conv2d_pool_inference(x, w, b, padding, rectify, y):
    """y (N, P, Q, K) = f(the largest of 2x2 outputs of x (N, H, W, C) * w (R, S, C, K) + b (K,)).

    f(y) = max(0, y) with `rectify`, else y.
    """
    work = y.size // w.shape[3] * w.size // 4
    cut = bands(x.shape[0], y.shape[1]) if work >= SMALL else 1
    run(_planes_chunk, x.shape[0] * cut, work, (cut, x, w, b, padding, rectify, y))


@kernel
def _planes_chunk(chunk, cut, x, w, b, padding, rectify, y):
    """A band of rows of y of one image."""
    (taps_h, taps_w, c, k), (_, rows, columns, _) = w.shape, y.shape
    n, band = chunk // cut, chunk % cut
    first, last = band * rows // cut, (band + 1) * rows // cut
    high, wide = min(last - first, _high(w.shape, columns)), 2 * columns + taps_w - 1
    plane, outputs_plane = (2 * high + taps_h - 1) * wide, 2 * high * wide
    vectors = (columns + LANES - 1) // LANES
    memory = stack_array(x, ROOM)
    planes = 0 if c == 1 else plane * c + BEHIND
    outputs = planes + plane * c + BEHIND
    pooled, side = outputs + outputs_plane * k + BEHIND, high * vectors * LANES
    for p0 in range(first, last, high):
        here = min(high, last - p0)
        tall = 2 * here + taps_h - 1
        padded_rows(x, n, 2 * p0 - padding[0], tall, padding[1], wide, memory, 0)
        if c > 1:
            transpose(x, tall * wide, c, address(memory, 0), c, address(memory, planes), plane)
        for channel in range(c):
            gemm(x, k, 2 * here * wide, taps_h, taps_w, address(w, channel * k), 1, taps_w * c * k, c * k,
                 address(memory, planes + channel * plane), wide, 1, address(memory, outputs), outputs_plane, 0,
                 ACCUMULATE if channel > 0 else 0)  # fmt: skip
        for i in range(k):
            bias = spread(b, b[i] if b.size > 0 else 0.0)
            for p in range(here):
                for v in range(vectors):
                    above = outputs + i * outputs_plane + 2 * p * wide + 2 * v * LANES
                    left = most(load(memory, above, LANES), load(memory, above + wide, LANES))
                    above += LANES
                    right = most(load(memory, above, LANES), load(memory, above + wide, LANES))
                    even, odd = neighbours(left, right)
                    value = add(most(even, odd), bias)
                    store(memory, pooled + i * side + (p * vectors + v) * LANES, LANES,
                          where_positive(value, value) if rectify else value)  # fmt: skip
        for p in range(here):
            transpose(x, k, columns, address(memory, pooled + p * vectors * LANES), side,
                      address(y, (n * rows + p0 + p) * columns * k), k)  # fmt: skip
