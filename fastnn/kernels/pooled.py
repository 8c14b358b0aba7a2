"""A convolution, the 2x2 max pooling after it and ReLU in one operation, and its gradients.

It is for a network's first layers, which are all memory traffic: outputs are pooled in registers, and the gradient
selects the pixels of a window that belong to its largest output, so that arrays of four times the size are neither
written nor read. Lanes are images, whatever the channels. `index` keeps their order, since only the gradient reads it.
Further in, where the input has a gradient too, the operations are those of lanewise.py, single.py and winograd.py;
lanewise.py has first layers with 5x5 kernels too, from 16 products of channels and outputs on, and picked.py those with
3x3 kernels whose outputs fill vectors.

Batch 64, two cores, before and after, in us (python -m pytest benchmarks/test_conv.py -k pooled):

                              forward       weight gradient
    28x28x1 to 6, 5x5         188    86         199    53
    28x28x1 to 16, 5x5 valid  273   150         256   100
    28x28x1 to 32, 3x3        394   220         327   134        picked.py: 187, 90
    28x28x1 to 64, 3x3        676   422        1067   350                   364, 162
    32x32x3 to 16, 3x3        468   326         447   210                   286, 205
    32x32x3 to 64, 3x3       1963  1277        2476  1013                  1168, 649

Not so: 3 channels with AVX2, where a tile's sums do not fit in registers (32x32x3 to 32: 928 to 1358, 1065 to 1168).
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._dots import CHANNELS, LEAST, OUTPUTS, TAPS, chosen, pooled
from ._jit import kernel
from ._lanes import LANES, MASKS_ARE_FREE, add, load, store, where_some
from ._memory import address, stack_array, transpose
from ._parallel import run
from ._windows import CHUNKS, bands
from .conv import flip, sum_chunk
from .lanewise import image_row, is_lanewise, lanewise_chunk
from .picked import is_picked, picked_chunk, picked_parts, picked_weight_chunk
from .single import single_input_chunk, single_scratch_size, single_table_chunk, single_weight_chunk
from .winograd import POOLED, SPREAD, is_winograd, winograd, winograd_scratch_size, winograd_weight_gradient

ROOM = 65536  # elements on the stack: 256 KB, of which a few rows of the images and of outputs are in use at a time
NEAR = 32  # windows at once, whose pixels and gradients L1 holds
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
        size = single_scratch_size(x_shape, w_shape, y_shape, itemsize)
        return size if size > 0 or c <= FEW_INSIDE or is_lanewise.py_func(w_shape, columns, itemsize) else -1
    room = row + (taps_h * taps + 1) * k + wide * c + LANES
    if c > FEW or room * LANES > ROOM or taps_w < LEAST:
        return -1
    parts = min(-(-images // LANES), CHUNKS)
    return max(parts * bands.py_func(parts, rows), picked_parts.py_func(images)) * (taps_h * taps + 1) * k


def conv2d_pool_lanes(w_shape, y_shape, itemsize, inner):
    """Return the last axis of the index that the passes want: its lanes are images, or 1, where it lies like y."""
    return 1 if inner or is_picked.py_func(w_shape, y_shape[2], itemsize) else LANES


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
    (N, P, Q, K, 1): the same less 1, as pooling has it (`conv2d_pool_lanes`).
    """
    chosen, outputs = _is_winograd(index, w, y)
    if chosen:
        winograd(x, POOLED, address(x, 0), x.shape, address(w, 0), address(b, 0) if b.size > 0 else 0, padding,
                 1 if rectify else 0, 0.0, address(scratch, 0), address(index, 0), address(y, 0), outputs)  # fmt: skip
        return
    if index.shape[4] == 1 and is_picked(w.shape, y.shape[2], y.itemsize):
        cut = bands(x.shape[0], y.shape[1])
        run(picked_chunk, x.shape[0] * cut, y.size // w.shape[3] * w.size // 4,
            (cut, x, w, b, padding, rectify, index, y))  # fmt: skip
        return
    groups = (x.shape[0] + LANES - 1) // LANES
    cut = bands(groups, y.shape[1])
    if is_lanewise(w.shape, y.shape[2], y.itemsize):
        run(lanewise_chunk, groups * cut, y.size // w.shape[3] * w.size // 4,
            (cut, x, w, b, padding, rectify, index, y))  # fmt: skip
        return
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
            image_row(n, count, h, x, padding[1], inputs + (h - top) * row, row, memory)
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
def conv2d_pool_weight_gradient(x, index, dy, padding, scratch, dw, db):
    """dw (R, S, C, K), db (K,) from x (N, H, W, C), index and dy (N, P, Q, K)."""
    chosen, outputs = _is_winograd(index, dw, dy)
    if chosen:
        parts, step = winograd_weight_gradient(x, SPREAD, address(x, 0), x.shape, address(index, 0), address(dy, 0),
                                               outputs, padding, address(scratch, 0))  # fmt: skip
        run(sum_chunk, CHUNKS, dw.size * parts, (parts, step, scratch, dw.reshape(-1), db))
        return
    if index.shape[4] == 1 and is_picked(dw.shape, dy.shape[2], dy.itemsize):
        several = picked_parts(x.shape[0])
        run(picked_weight_chunk, several, dy.size * dw.size // dy.shape[3] // 4,
            (several, x, index, dy, padding, scratch, dw))  # fmt: skip
        run(sum_chunk, CHUNKS, dw.size * several, (several, dw.size + dy.shape[3], scratch, dw.reshape(-1), db))
        return
    if index.shape[4] == 1:
        several = min(x.shape[0], CHUNKS)
        run(single_weight_chunk, several, dy.size * dw.size // dy.shape[3] // 4,
            (several, x, index, dy, padding, scratch, dw))  # fmt: skip
        run(sum_chunk, CHUNKS, dw.size * several, (several, dw.size + dy.shape[3], scratch, dw.reshape(-1), db))
        return
    parts = min((x.shape[0] + LANES - 1) // LANES, CHUNKS)
    cut, k = bands(parts, dy.shape[1]), dy.shape[3]
    run(_gradient_chunk, parts * cut, dy.size * dw.size // k // 4,
        (parts, cut, x, index, dy, padding, scratch, dw))  # fmt: skip
    run(sum_chunk, CHUNKS, dw.size * parts * cut, (parts * cut, dw.size + k, scratch, dw.reshape(-1), db))


@kernel
def conv2d_pool_input_gradient(index, dy, w, padding, scratch, dx):
    """dx (N, H, W, C) from index (N, P, Q, K, 1), dy (N, P, Q, K) and w (R, S, C, K)."""
    chosen, outputs = _is_winograd(index, w, dy)
    if chosen:
        flip(w, (1, 1), padding, (1, 1), 1, dx.shape[3], scratch)
        winograd(dy, SPREAD, address(dy, 0), outputs, address(scratch, 0), 0, (2 - padding[0], 2 - padding[1]), 0, 0.0,
                 address(scratch, w.size), address(index, 0), address(dx, 0), dx.shape)  # fmt: skip
        return
    parts = min(dx.shape[0], CHUNKS)
    run(single_table_chunk, w.shape[3], w.size, (w, scratch))
    run(single_input_chunk, parts, dy.size * w.size // w.shape[3] // 4, (parts, index, dy, w, padding, scratch, dx))


@kernel
def _gradient_chunk(chunk, parts, cut, x, index, dy, padding, scratch, dw):
    """The sum over a band of rows of one part of the images, into the chunk's scratch: dw's elements, then db's."""
    c, (taps_h, taps_w, _, k) = x.shape[3], dw.shape
    images, rows, columns, _ = dy.shape
    part, band, groups = chunk // cut, chunk % cut, (images + LANES - 1) // LANES
    memory = stack_array(x, ROOM)  # dw's and db's sums, a row of x, rows of dy, rows of each channel of x
    taps, row, side = taps_w * c, (2 * columns + taps_w - 1) * LANES, columns * k * LANES
    spare = (taps_h * taps + 1) * k * LANES
    given = spare + row * c
    first, last = band * rows // cut, (band + 1) * rows // cut
    high = min(last - first, (ROOM - given - (taps_h - 1) * row * c) // (side + 2 * row * c))
    inputs, step, plane = given + high * side, max(1, NEAR // columns), (2 * high + taps_h - 1) * row
    blocks, tiles = (k + OUTPUTS - 1) // OUTPUTS, (taps_w + TAPS - 1) // TAPS
    memory[:given] = 0
    for group in range(part * groups // parts, (part + 1) * groups // parts):
        n = group * LANES
        count = min(LANES, images - n)
        if count < LANES:
            memory[given:inputs] = 0
        for p0 in range(first, last, high):
            top, tall = 2 * p0 - padding[0], 2 * (min(p0 + high, last) - p0) + taps_h - 1
            for h in range(top, top + tall):
                image_row(n, count, h, x, padding[1], spare, row * c, memory)
                for i in range(c):
                    for j in range(0, row, LANES):
                        value = load(memory, spare + j * c + i * LANES, LANES)
                        store(memory, inputs + i * plane + (h - top) * row + j, LANES, value)
            for p in range(p0, min(p0 + high, last)):
                transpose(x, count, columns * k, address(dy, (n * rows + p) * columns * k), rows * columns * k,
                          address(memory, given + (p - p0) * side), LANES)  # fmt: skip
                _cut_off(index, (group * rows + p) * side, columns, k, given + (p - p0) * side, spare - k * LANES,
                         memory)  # fmt: skip
            for p in range(p0, min(p0 + high, last), step):
                several = min(p + step, p0 + high, last) - p
                for block in range(blocks):
                    k0, k1 = block * k // blocks, (block + 1) * k // blocks
                    for channel in range(c):
                        for r in range(taps_h):
                            for t in range(tiles):
                                t0, t1 = t * taps_w // tiles, (t + 1) * taps_w // tiles
                                seen = inputs + channel * plane + (2 * (p - p0) + r) * row + t0 * LANES
                                to = ((r * taps + t0 * c + channel) * k + k0) * LANES
                                chosen(x, index, t1 - t0, k1 - k0, several, columns, address(memory, seen),
                                       row // LANES, address(index, (group * rows + p) * side + k0 * LANES),
                                       address(memory, given + (p - p0) * side + k0 * LANES), columns * k, k,
                                       address(memory, to), c * k)  # fmt: skip
    size = (taps_h * taps + 1) * k
    for i in range(0, size, LANES):
        # The sums over the lanes: LLVM would gather them.
        count = min(LANES, size - i)
        transpose(x, count, LANES, address(memory, i * LANES), LANES, address(memory, spare), LANES)
        total = load(memory, spare, count)
        for lane in range(1, LANES):
            total = add(total, load(memory, spare + lane * LANES, count))
        store(scratch, chunk * size + i, count, total)


@kernel
def _cut_off(index, windows, columns, k, given, sums, memory):
    """Make 0 what ReLU cut off in the row of dy at `given`, whose windows begin there in index; add it up."""
    for channel in range(k):
        total = load(memory, sums + channel * LANES, LANES)
        for at in range(channel * LANES, columns * k * LANES, k * LANES):
            value = where_some(load(index, windows + at, LANES), load(memory, given + at, LANES))
            store(memory, given + at, LANES, value)
            total = add(total, value)
        store(memory, sums + channel * LANES, LANES, total)
