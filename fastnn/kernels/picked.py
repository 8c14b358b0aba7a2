"""A 3x3 convolution of 1 to 3 channels with 2x2 max pooling and ReLU, its outputs as lanes, which fill vectors.

One of a window's outputs has a gradient, in each lane another. For it the 2x2 pixels of every place lie side by side,
and one instruction picks each lane's out of the four, so that a quarter of the products is made. Nothing is transposed.
Batch 64, two threads, in us, images as lanes and these, in turns:

                      forward       weight gradient
    28x28x1 to 16     108     95         67     59
    28x28x1 to 32     210    187        134     90
    28x28x1 to 64     428    364        351    162
    32x32x3 to 16     344    286        216    205
    32x32x3 to 32     673    576        451    332
    32x32x3 to 64    1338   1168       1056    649

Within the CNN's step, whose arrays come from farther away, 28x28x1 to 32: 224 to 190 and 194 to 100.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._lanes import LANES as BEHIND
from ._memory import address, stack_array
from ._picked import (
    FEW,
    HAS_PICKS,
    LANES,
    QUAD,
    SUMMED,
    TAPS,
    VECTORS,
    WINDOWS,
    make_quads,
    picked_weights,
    picked_windows,
)
from ._windows import padded_rows

NEAR = 8192  # elements on the stack: rows of an image, and the same of 2x2 pixels of a channel
MEMORY = NEAR + BEHIND  # with what is read, and overwritten, behind them
WIDTH, SUMS = VECTORS * LANES, SUMMED * LANES  # outputs at once, forward and back


@kernel
def is_picked(w_shape, columns, itemsize):
    """Return whether the tasks here do it."""
    taps_h, taps_w, c, k = w_shape
    shaped = taps_h == TAPS and taps_w == TAPS and c <= FEW and k % LANES == 0
    return HAS_PICKS and itemsize == 4 and shaped and _high(QUAD * _line(columns)) > 0


@kernel
def _line(columns):
    """Return how many pixels a row has with all that `columns` windows see, filled up to a vector of QUAD."""
    return (2 * columns + TAPS - 1 + QUAD - 1) // QUAD * QUAD


@kernel
def _high(row):
    """Return how many rows of windows have room, of which each sees two rows of so many elements, and two more."""
    return (NEAR // row - TAPS + 1) // 2


@kernel
def picked_chunk(chunk, cut, x, w, b, padding, rectify, index, y):
    """A band of rows of y of one image."""
    c, k, (_, rows, columns, _) = x.shape[3], w.shape[3], y.shape
    n, band = chunk // cut, chunk % cut
    memory, wide = stack_array(x, MEMORY), 2 * columns + TAPS - 1
    first, last = band * rows // cut, (band + 1) * rows // cut
    high = _high(QUAD * _line(columns))
    for p0 in range(first, last, high):
        several = min(high, last - p0)
        padded_rows(x, n, 2 * p0 - padding[0], 2 * several + TAPS - 1, padding[1], wide, memory, 0)
        for p in range(several):
            for k0 in range(0, k, WIDTH):
                count = min(WIDTH, k - k0)
                for q in range(0, columns, WINDOWS):
                    to = ((n * rows + p0 + p) * columns + q) * k + k0
                    picked_windows(count // LANES, min(WINDOWS, columns - q), c,
                                   address(memory, 2 * (p * wide + q) * c), wide * c, address(w, k0), k,
                                   address(b, k0) if b.size > 0 else 0, rectify, address(y, to), address(index, to),
                                   k)  # fmt: skip


@kernel
def picked_weight_chunk(part, parts, x, index, dy, padding, scratch, dw):
    """The sum over one part of the images, into the part's scratch: dw's elements, then db's."""
    (images, rows, columns, k), c = dy.shape, x.shape[3]
    memory, quads, unused = stack_array(x, MEMORY), stack_array(x, NEAR), stack_array(x, SUMS)
    wide, line, sums = 2 * columns + TAPS - 1, _line(columns), part * (dw.size + k)
    scratch[sums : sums + dw.size + k] = 0
    high = _high(QUAD * line)
    for n in range(part * images // parts, (part + 1) * images // parts):
        for p0 in range(0, rows, high):
            several = min(high, rows - p0)
            tall, at = 2 * several + TAPS - 1, (n * rows + p0) * columns * k
            padded_rows(x, n, 2 * p0 - padding[0], tall, padding[1], wide, memory, 0)
            for channel in range(c):
                for h in range(tall - 1):
                    make_quads(c, line, address(memory, h * wide * c + channel), wide,
                               address(quads, h * line * QUAD))  # fmt: skip
                for k0 in range(0, k, SUMS):
                    count = min(SUMS, k - k0)
                    total = address(scratch, sums + dw.size + k0) if channel == 0 else address(unused, 0)
                    picked_weights(count // LANES, several, columns, address(quads, 0), line,
                                   address(index, at + k0), address(dy, at + k0), k,
                                   address(scratch, sums + channel * k + k0), c * k, total)  # fmt: skip
