"""A convolution, the 2x2 max pooling after it and ReLU in one operation, and its gradients.

With Winograd's products see winograd.py. The others, of few input channels, are for a network's first layers, which are
all memory traffic: outputs are pooled in registers, and the gradient spreads a row of what comes back over the outputs
while it lies in L1, so that arrays of four times the size are neither written nor read. Lanes are images, whatever the
channels. `index` keeps their order, since only the gradient reads it.
Their input gradient is left out: where it is wanted, layers call their own operations.

Batch 64, two cores, before and after, in us (python -m pytest benchmarks/test_conv.py -k pooled):

                              forward       weight gradient
    28x28x1 to 6, 5x5         188    89         199    95
    28x28x1 to 16, 5x5 valid  273   167         256   188
    28x28x1 to 32, 3x3        394   220         327   229
    28x28x1 to 64, 3x3        676   422        1067   444
    32x32x3 to 16, 3x3        468   326         447   341
    32x32x3 to 64, 3x3       1963  1277        2476  1373

Not so: 3 channels with AVX2, where a tile's sums do not fit in registers (32x32x3 to 32: 928 to 1358, 1065 to 1168).
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._dots import CHANNELS, COLUMNS, LEAST, ROWS, dots, pooled
from ._jit import kernel
from ._lanes import LANES, MASKS_ARE_FREE, add, load, spread, store, where_equal
from ._memory import address, stack_array, transpose
from ._parallel import run
from ._windows import CHUNKS, bands, inside
from .conv import flip, is_winograd, sum_chunk
from .winograd import POOLED, SPREAD, winograd, winograd_scratch_size, winograd_weight_gradient

ROOM = 65536  # elements on the stack: 256 KB, of which a few rows of the images and of outputs are in use at a time
FEW = 4 if MASKS_ARE_FREE else 1
FEW_INSIDE = 15 if MASKS_ARE_FREE else 0


def conv2d_pool_scratch_size(x_shape, w_shape, y_shape, itemsize, inner):
    """Return the number of elements that all passes want as scratch; -1: not for these shapes.

    inner: index lies like y; where that is 0 the gradients are those of pooling and of the convolution.
    """
    (images, _, _, c), (taps_h, taps_w, _, k), (_, rows, columns, _) = x_shape, w_shape, y_shape
    taps, wide = taps_w * c, 2 * columns + taps_w - 1
    row = (taps_h + 1) * wide * c + columns * k
    outputs = (images, 2 * rows, 2 * columns, k)
    if inner and itemsize == 4 and is_winograd.py_func(outputs, w_shape, (1, 1), (1, 1), 1):
        return winograd_scratch_size(x_shape, w_shape, outputs, pooled=True)
    if itemsize != 4 or images < LANES or k < LEAST or (row + columns * k) * LANES > ROOM:
        return -1
    if inner:
        return 0 if c <= FEW_INSIDE else -1
    room = row + (taps_h * taps + 1) * k + 4 * columns * COLUMNS
    if c > FEW or room * LANES > ROOM or taps < LEAST or k // -(-k // COLUMNS) < LEAST:
        return -1
    parts = min(-(-images // LANES), CHUNKS)
    return parts * bands.py_func(parts, rows) * (taps_h * taps + 1) * k


@kernel
def _is_winograd(index, w, y):
    """Return whether index lies like y, and the passes take Winograd's products; the shape of the outputs."""
    outputs = (y.shape[0], 2 * y.shape[1], 2 * y.shape[2], y.shape[3])
    return index.shape[4] == 1 and is_winograd(outputs, w.shape, (1, 1), (1, 1), 1), outputs


@kernel
def conv2d_pool_forward(x, w, b, padding, rectify, scratch, index, y):
    """y (N, P, Q, K) = f(the largest of 2x2 outputs of x (N, H, W, C) * w (R, S, C, K) + b (K,)).

    index (N / LANES, P, Q, K, LANES) uint16: which of them is the first maximum (or first NaN), 1 to 4; 0 where
    f(y) = max(0, y), of `rectify`, cut it off. Of images that are not there: as if they were zeros. Or index
    (N, P, Q, K, 1): the same less 1, as pooling has it.
    """
    chosen, outputs = _is_winograd(index, w, y)
    if chosen:
        winograd(x, POOLED, address(x, 0), x.shape, address(w, 0), address(b, 0) if b.size > 0 else 0, padding,
                 1 if rectify else 0, 0.0, address(scratch, 0), address(index, 0), address(y, 0), outputs)  # fmt: skip
        return
    groups = (x.shape[0] + LANES - 1) // LANES
    cut = bands(groups, y.shape[1])
    run(_forward_chunk, groups * cut, y.size // w.shape[3] * w.size // 4, (cut, x, w, b, padding, rectify, index, y))


@kernel
def _forward_chunk(chunk, cut, x, w, b, padding, rectify, index, y):
    """A band of rows of y for one group of images."""
    c, (taps_h, taps_w, _, k) = x.shape[3], w.shape
    images, rows, columns, _ = y.shape
    group, band = chunk // cut, chunk % cut
    n = group * LANES
    count = min(LANES, images - n)
    memory = stack_array(x, ROOM)  # a row of y, rows of x with all that a window sees
    places, inner = stack_array(index, ROOM), index.shape[4] == 1  # of a row of y
    row, inputs = (2 * columns + taps_w - 1) * c * LANES, columns * k * LANES
    first, last = band * rows // cut, (band + 1) * rows // cut
    high = min(last - first, ((ROOM - inputs) // row - taps_h + 1) // 2)
    blocks = (k + CHANNELS - 1) // CHANNELS
    for p0 in range(first, last, high):
        top, tall = 2 * p0 - padding[0], 2 * (min(p0 + high, last) - p0) + taps_h - 1
        for h in range(top, top + tall):
            _image_row(n, count, h, x, padding[1], inputs + (h - top) * row, row, memory)
        for p in range(p0, min(p0 + high, last)):
            for q in range(columns):
                seen = inputs + 2 * (p - p0) * row + 2 * q * c * LANES
                place = address(index, ((group * rows + p) * columns + q) * k * LANES)
                if inner:
                    place = address(places, q * k * LANES)
                for block in range(blocks):
                    k0, k1 = block * k // blocks, (block + 1) * k // blocks
                    pooled(x, index, k1 - k0, taps_h, taps_w * c, address(memory, seen), row // LANES, c,
                           address(w, k0), k, address(b, k0) if b.size > 0 else 0, rectify,
                           address(memory, (q * k + k0) * LANES), place + k0 * LANES * index.itemsize)  # fmt: skip
            transpose(x, columns * k, count, address(memory, 0), LANES,
                      address(y, (n * rows + p) * columns * k), rows * columns * k)  # fmt: skip
            for image in range(count if inner else 0):
                row_of_y = index.reshape(-1)[((n + image) * rows + p) * columns * k :]
                for i in range(columns * k):
                    row_of_y[i] = places[i * LANES + image] - 1


@kernel
def _image_row(n, count, h, x, left, to, row, memory):
    """Write row h of `count` images from number n on, `left` zeros before it, to the `row` elements from `to` on."""
    _, height, width, c = x.shape
    given, begin = max(0, min(width * c, row // LANES - left * c)), min(left * c * LANES, row)
    if h < 0 or h >= height or count < LANES:
        memory[to : to + row] = 0
    memory[to : to + begin] = 0
    memory[to + begin + given * LANES : to + row] = 0
    if 0 <= h < height:
        transpose(x, count, given, address(x, (n * height + h) * width * c), height * width * c,
                  address(memory, to + begin), LANES)  # fmt: skip


@kernel
def conv2d_pool_weight_gradient(x, index, dy, padding, scratch, dw, db):
    """dw (R, S, C, K), db (K,) from x (N, H, W, C), index and dy (N, P, Q, K)."""
    chosen, outputs = _is_winograd(index, dw, dy)
    if chosen:
        parts, step = winograd_weight_gradient(x, SPREAD, address(x, 0), x.shape, address(index, 0), address(dy, 0),
                                               outputs, padding, address(scratch, 0))  # fmt: skip
        run(sum_chunk, CHUNKS, dw.size * parts, (parts, step, scratch, dw.reshape(-1), db))
        return
    parts = min((x.shape[0] + LANES - 1) // LANES, CHUNKS)
    cut, k = bands(parts, dy.shape[1]), dy.shape[3]
    run(_gradient_chunk, parts * cut, dy.size * dw.size // k // 4,
        (parts, cut, x, index, dy, padding, scratch, dw))  # fmt: skip
    run(sum_chunk, CHUNKS, dw.size * parts * cut, (parts * cut, dw.size + k, scratch, dw.reshape(-1), db))


@kernel
def conv2d_pool_input_gradient(index, dy, w, padding, scratch, dx):
    """dx (N, H, W, C) from index and dy (N, P, Q, K). For Winograd's products only."""
    _, outputs = _is_winograd(index, w, dy)
    flip(w, (1, 1), padding, (1, 1), 1, dx.shape[3], scratch)
    winograd(dy, SPREAD, address(dy, 0), outputs, address(scratch, 0), 0, (2 - padding[0], 2 - padding[1]), 0, 0.0,
             address(scratch, w.size), address(index, 0), address(dx, 0), dx.shape)  # fmt: skip


@kernel
def _gradient_chunk(chunk, parts, cut, x, index, dy, padding, scratch, dw):
    """The sum over a band of rows of one part of the images, into the chunk's scratch: dw's elements, then db's."""
    (_, height, _, c), (taps_h, taps_w, _, k) = x.shape, dw.shape
    images, rows, columns, _ = dy.shape
    part, band, groups = chunk // cut, chunk % cut, (images + LANES - 1) // LANES
    memory = stack_array(x, ROOM)  # dw's and db's sums, two rows of some outputs' gradient, a row of dy, rows of x
    taps, row = taps_w * c, (2 * columns + taps_w - 1) * c * LANES
    outputs = (taps_h * taps + 1) * k * LANES
    given = outputs + 4 * columns * COLUMNS * LANES
    inputs = given + columns * k * LANES
    first, last = band * rows // cut, (band + 1) * rows // cut
    high = min(last - first, ((ROOM - inputs) // row - taps_h + 1) // 2)
    blocks, tiles = (k + COLUMNS - 1) // COLUMNS, (taps + ROWS - 1) // ROWS
    memory[:outputs] = 0
    for group in range(part * groups // parts, (part + 1) * groups // parts):
        n = group * LANES
        count = min(LANES, images - n)
        if count < LANES:
            memory[given:inputs] = 0
        for p0 in range(first, last, high):
            top, tall = 2 * p0 - padding[0], 2 * (min(p0 + high, last) - p0) + taps_h - 1
            for h in range(max(0, top), min(height, top + tall)):
                _image_row(n, count, h, x, padding[1], inputs + (h - top) * row, row, memory)
            for p in range(p0, min(p0 + high, last)):
                transpose(x, count, columns * k, address(dy, (n * rows + p) * columns * k), rows * columns * k,
                          address(memory, given), LANES)  # fmt: skip
                for block in range(blocks):
                    k0, side = block * k // blocks, (block + 1) * k // blocks - block * k // blocks
                    _spread_row(index, (group * rows + p) * columns * k * LANES, columns, k, k0, side, given, outputs,
                                (taps_h * taps * k + k0) * LANES, memory)  # fmt: skip
                    for r in range(taps_h):
                        a0, a1 = inside(2 * p + r - padding[0], 1, 2, height)
                        for t in range(tiles if a0 < a1 else 0):
                            t0, t1 = t * taps // tiles, (t + 1) * taps // tiles
                            seen = inputs + (2 * (p - p0) + r + a0) * row + t0 * LANES
                            dots(x, t1 - t0, side, a1 - a0, 2 * columns, address(memory, seen), row // LANES, c,
                                 address(memory, outputs + 2 * a0 * columns * side * LANES), 2 * columns * side, side,
                                 address(memory, ((r * taps + t0) * k + k0) * LANES), k)  # fmt: skip
    result = chunk * (taps_h * taps + 1) * k
    for i in range((taps_h * taps + 1) * k):
        total = memory[i * LANES]
        for lane in range(1, LANES):
            total += memory[i * LANES + lane]
        scratch[result + i] = total


@kernel
def _spread_row(index, windows, columns, k, k0, side, given, to, sums, memory):
    """Write two rows of the gradient of `side` outputs from k0 on from a row of dy, which lies at `given`; add it up.

    windows: where the row of windows begins in index.
    """
    line = 2 * columns * side * LANES
    for channel in range(side):
        total = load(memory, sums + channel * LANES, LANES)
        for q in range(columns):
            at = (q * k + k0 + channel) * LANES
            place, value = load(index, windows + at, LANES), load(memory, given + at, LANES)
            first, second = where_equal(place, spread(index, 1), value), where_equal(place, spread(index, 2), value)
            third, fourth = where_equal(place, spread(index, 3), value), where_equal(place, spread(index, 4), value)
            pixel = to + (2 * q * side + channel) * LANES
            store(memory, pixel, LANES, first)
            store(memory, pixel + side * LANES, LANES, second)
            store(memory, pixel + line, LANES, third)
            store(memory, pixel + line + side * LANES, LANES, fourth)
            total = add(total, add(add(first, second), add(third, fourth)))
        store(memory, sums + channel * LANES, LANES, total)
