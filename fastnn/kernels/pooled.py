"""A convolution, the 2x2 max pooling after it and ReLU in one operation, and its gradients.

Outputs are pooled in registers, and one of the four of a window has a gradient: arrays of four times the size are
neither written nor read. `index` says which one it is.

For a network's first layers lanes are images, whatever the channels; picked.py has 3x3 kernels whose outputs fill
vectors, lanewise.py 5x5 kernels from 16 products of channels and outputs on, with AVX2 from 32. single.py has the
gradients. Further in, where the input has a gradient too, the operations are those of lanewise.py, single.py and
winograd.py.

Batch 64, AVX2 (Zen 3), two threads, in us, in turns. With one channel before: 16 images as lanes, which take two
vectors, and for the gradient pixels selected from the window's; with three: the operations on their own.

                              forward        weight gradient
    28x28x1 to 6, 5x5         340   206        213   173
    28x28x1 to 16, 5x5 valid  627   367        396   261
    28x28x1 to 12, 3x3        309   217        219   201
    28x28x1 to 32, 3x3        838   392        497   197      picked.py
    28x28x1 to 64, 3x3       1784   729       1062   328      picked.py
    32x32x3 to 16, 3x3        817   546        916   398      picked.py
    32x32x3 to 6, 5x5 valid   733   411        930   229
    32x32x3 to 16, 5x5 valid 1154   717       1223   541
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._dots import CHANNELS, LANES, pooled
from ._jit import kernel
from ._lanes import MASKS_ARE_FREE
from ._memory import address, stack_array, transpose
from ._parallel import run
from ._tilings import is_winograd
from ._windows import CHUNKS, bands
from .conv import flip, sum_chunk
from .lanewise import image_row, is_lanewise, lane_places, lanewise_chunk
from .picked import is_picked, picked_chunk, picked_weight_chunk
from .single import (
    is_single,
    single_input_chunk,
    single_scratch_size,
    single_table_chunk,
    single_weight_chunk,
    single_weight_parts,
)
from .winograd import POOLED, SPREAD, winograd, winograd_scratch_size, winograd_weight_gradient

ROOM = 65536  # elements on the stack: 256 KB, of which a few rows of the images and of outputs are in use at a time
LEAST = 3  # outputs, and columns of taps, that pay
FEW, FEW_INSIDE = 4, 15 if MASKS_ARE_FREE else 0  # channels of a first layer, and of one further in, so done


def conv2d_pool_scratch_size(x_shape, w_shape, y_shape, itemsize, inner):
    """Return the number of elements that all passes want as scratch; -1: not for these shapes.

    inner: where that is 0 the gradients are those of pooling and of the convolution.
    """
    (images, _, _, c), (taps_h, taps_w, _, k), (_, rows, columns, _) = x_shape, w_shape, y_shape
    outputs = (images, 2 * rows, 2 * columns, k)
    if inner and itemsize == 4 and is_winograd.py_func(outputs, w_shape, (1, 1), (1, 1), 1):
        return winograd_scratch_size(x_shape, w_shape, outputs, pooled=True)
    if itemsize != 4 or images < LANES or k < LEAST or _high.py_func(w_shape, columns) < 1:
        return -1
    if inner:
        size = single_scratch_size(x_shape, w_shape, y_shape, itemsize)
        return size if size > 0 or c <= FEW_INSIDE or is_lanewise.py_func(w_shape, columns, itemsize) else -1
    if c > FEW or taps_w < LEAST or not is_single.py_func(w_shape, y_shape, itemsize):
        return -1
    return single_weight_parts.py_func(images) * (taps_h * taps_w * c + 1) * k


@kernel
def _high(w_shape, columns):
    """Return how many rows of windows `_forward_chunk` has room for, beside a row of outputs and twice its places."""
    taps_h, taps_w, c, k = w_shape
    return ((ROOM // LANES - 3 * columns * k) // ((2 * columns + taps_w - 1) * c) - taps_h + 1) // 2


@kernel
def _is_winograd(w, y):
    """Return whether the passes take Winograd's products, and the shape of the outputs."""
    outputs = (y.shape[0], 2 * y.shape[1], 2 * y.shape[2], y.shape[3])
    return is_winograd(outputs, w.shape, (1, 1), (1, 1), 1), outputs


@kernel
def conv2d_pool_forward(x, w, b, padding, rectify, scratch, index, y):
    """y (N, P, Q, K) = f(the largest of 2x2 outputs of x (N, H, W, C) * w (R, S, C, K) + b (K,)).

    index (N, P, Q, K) uint16: which of them is the first maximum (or first NaN), 0 to 3, as pooling has it; 65535 where
    f(y) = max(0, y), of `rectify`, cut it off.
    """
    chosen, outputs = _is_winograd(w, y)
    if chosen:
        winograd(x, POOLED, w.shape[0], address(x, 0), x.shape, address(w, 0), address(b, 0) if b.size > 0 else 0,
                 padding, 1 if rectify else 0, 0.0, scratch, 0, address(index, 0), address(y, 0),
                 outputs)  # fmt: skip
        return
    if is_picked(w.shape, y.shape[2], y.itemsize):
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
    memory = stack_array(x, ROOM)  # a row of y, its places, these image by image, rows of x with all that a window sees
    side, row = columns * k, (2 * columns + taps_w - 1) * c * LANES
    places, inputs = side * LANES, 3 * side * LANES
    first, last = band * rows // cut, (band + 1) * rows // cut
    high, blocks = _high(w.shape, columns), (k + CHANNELS - 1) // CHANNELS
    for p0 in range(first, last, high):
        top, tall = 2 * p0 - padding[0], 2 * (min(p0 + high, last) - p0) + taps_h - 1
        for h in range(top, top + tall):
            image_row(n, count, h, x, padding[1], inputs + (h - top) * row, row, memory)
        for p in range(p0, min(p0 + high, last)):
            for q in range(columns):
                seen = inputs + 2 * (p - p0) * row + 2 * q * c * LANES
                for block in range(blocks):
                    k0, k1 = block * k // blocks, (block + 1) * k // blocks
                    pooled(x, k1 - k0, taps_h, taps_w * c, address(memory, seen), row // LANES, c, address(w, k0), k,
                           address(b, k0) if b.size > 0 else 0, rectify, address(memory, (q * k + k0) * LANES),
                           places * x.itemsize)  # fmt: skip
            to = (n * rows + p) * side
            transpose(x, side, count, address(memory, 0), LANES, address(y, to), rows * side)
            lane_places(count, side, places, 2 * places, to, rows * side, memory, index)


@kernel
def conv2d_pool_weight_gradient(x, index, dy, padding, scratch, dw, db):
    """dw (R, S, C, K), db (K,) from x (N, H, W, C), index and dy (N, P, Q, K)."""
    chosen, outputs = _is_winograd(dw, dy)
    parts, step, at = single_weight_parts(x.shape[0]), dw.size + dy.shape[3], 0
    work = dy.size * dw.size // dy.shape[3] // 4
    if chosen:
        parts, step, at = winograd_weight_gradient(x, SPREAD, dw.shape[0], address(x, 0), x.shape, address(index, 0),
                                                   address(dy, 0), outputs, padding, scratch)  # fmt: skip
    elif is_picked(dw.shape, dy.shape[2], dy.itemsize):
        run(picked_weight_chunk, parts, work, (parts, x, index, dy, padding, scratch, dw))
    else:
        run(single_weight_chunk, parts, work, (parts, x, index, dy, padding, scratch, dw))
    run(sum_chunk, CHUNKS, dw.size * parts, (parts, step, scratch[at:], dw.reshape(-1), db))


@kernel
def conv2d_pool_input_gradient(index, dy, w, padding, scratch, dx):
    """dx (N, H, W, C) from index and dy (N, P, Q, K), w (R, S, C, K)."""
    chosen, outputs = _is_winograd(w, dy)
    if chosen:
        flip(w, (1, 1), padding, (1, 1), 1, dx.shape[3], scratch)
        padding = (w.shape[0] - 1 - padding[0], w.shape[1] - 1 - padding[1])
        winograd(dy, SPREAD, w.shape[0], address(dy, 0), outputs, address(scratch, 0), 0, padding, 0, 0.0,
                 scratch, w.size, address(index, 0), address(dx, 0), dx.shape)  # fmt: skip
        return
    parts = min(dx.shape[0], CHUNKS)
    run(single_table_chunk, w.shape[3], w.size, (w, scratch))
    run(single_input_chunk, parts, dy.size * w.size // w.shape[3] // 4, (parts, index, dy, w, padding, scratch, dx))
