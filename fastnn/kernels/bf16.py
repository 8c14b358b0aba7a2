"""The products of dense layers and convolutions with operands rounded to bf16, and sums in float32.

An operand is copied once, as pairs of the numbers that belong to two terms of a sum: the first half of the terms with
the second half, so that two long rows of memory become one of pairs. From there on a pair is an element like a float32,
only half as many, and the kernels of dense.py, conv.py and winograd.py take them; on CPUs with AMX tiled.py and
tiled_conv.py do. Weights and all else stay float32; where the copies do not pay, the products are those of float32.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from ._amx import HAS_AMX
from ._epilogue import prepare
from ._jit import kernel
from ._memory import address, pair, pairs_in
from ._parallel import run
from ._tilings import is_winograd, products, tile_outputs
from ._transforms import PAIRS_TILE
from ._windows import CHUNKS, bands
from .conv import conv2d_forward as full_conv2d_forward
from .conv import conv2d_input_gradient as full_conv2d_input_gradient
from .conv import conv2d_scratch_size as full_conv2d_scratch_size
from .conv import conv2d_weight_gradient as full_conv2d_weight_gradient
from .conv import flip, forward_chunk, input_chunk, sum_chunk
from .dense import dense_forward as full_dense_forward
from .dense import dense_input_gradient as full_dense_input_gradient
from .dense import dense_scratch_size as full_dense_scratch_size
from .dense import dense_weight_gradient as full_dense_weight_gradient
from .dense import input_product, product
from .few import column_sums
from .packed import packed_scratch_size
from .tiled import (
    tiled_dense_forward,
    tiled_dense_input_gradient,
    tiled_dense_scratch_size,
    tiled_dense_weight_gradient,
)
from .tiled_conv import is_tiled, tiled_conv_scratch_size, tiled_forward, tiled_input_gradient, tiled_weight_gradient
from .weights import direct_weight_chunk, weight_cut
from .winograd import PLAIN, winograd, winograd_weight_gradient

LINE = 16  # elements in a cache line, at which each copy begins
MANY = 2.5  # times float32's products, which Winograd's smaller tiles may take


def dense_scratch_size(n: int, c: int, k: int) -> int:
    """Return the number of elements that all three products want as scratch."""
    if not dense_pays.py_func(n, c, k):
        return full_dense_scratch_size(n, c, k)
    if HAS_AMX:
        return tiled_dense_scratch_size(n, c, k)
    pairs = max(_half(n) * (c + k), _half(c) * (n + k), _half(k) * (n + c))
    products = (n, k, _half(c), False, False), (c, k, _half(n), True, False), (n, c, _half(k), False, True)
    return pairs + 2 * LINE + max(packed_scratch_size(*product) for product in products)


def _half(count: int) -> int:
    return (count + 1) // 2


@kernel
def dense_pays(n, c, k):
    """Return whether the product is worth the copies.

    Times of float32 by those of bf16, forward, weight gradient, input gradient: (1024, 784, 256) 1.9, 1.9, 1.9;
    (128, 784, 256) 1.5, 1.6, 1.5; (32, 784, 256) 1.3, 1.4, 1.5; (128, 256, 128) 1.3, 1.2, 1.2. Not worth it:
    (32, 256, 128) 0.8, 1.1, 0.9; (128, 64, 64) 0.9, 0.9, 0.9; (10000, 32, 16) 1.0, 0.6, 1.1.
    AMX: (1024, 784, 256) 3.4, 3.5, 3.0; (128, 784, 256) 2.5, 2.7, 2.0; (32, 784, 256) 1.5, 1.2, 1.1 alone, but 0.87
    within a model's step, where weights are copied anew each time.
    """
    return n >= (64 if HAS_AMX else 16) and min(c, k) >= 32 and n * c * k >= 1 << 21


@kernel
def dense_forward(x, w, b, activation, alpha, scratch, y):
    """y (N, K) = f(x (N, C) @ w (C, K) + b)."""
    prepare(y, activation)
    (n, c), k = x.shape, w.shape[1]
    if not dense_pays(n, c, k):
        full_dense_forward(x, w, b, activation, alpha, scratch, y)
        return
    if HAS_AMX:
        tiled_dense_forward(x, w, b, activation, alpha, scratch, y)
        return
    half = (c + 1) // 2
    of_x = pairs_in(scratch, 0, (n, half))
    of_w = pairs_in(scratch, _whole(n * half), (half, k))
    _pair((n, half, c - half), address(x, 0), of_x, (1, half * k, (c - half) * k), address(w, 0), of_w)
    product(of_x, n, k, half, address(of_x, 0), half, 1, address(of_w, 0), k, 1, address(y, 0),
            address(b, 0) if b.size > 0 else 0, activation, alpha, 0, _behind(scratch, of_x, of_w))  # fmt: skip


@kernel
def dense_weight_gradient(x, dz, scratch, dw, db):
    """dw (C, K) = x.T @ dz,  db (K,) = sum of dz over N."""
    (n, c), k = x.shape, dz.shape[1]
    if not dense_pays(n, c, k):
        full_dense_weight_gradient(x, dz, scratch, dw, db)
        return
    if HAS_AMX:
        tiled_dense_weight_gradient(x, dz, scratch, dw, db)
        return
    half = (n + 1) // 2
    of_x = pairs_in(scratch, 0, (half, c))
    of_dz = pairs_in(scratch, _whole(half * c), (half, k))
    _pair((1, half * c, (n - half) * c), address(x, 0), of_x, (1, half * k, (n - half) * k), address(dz, 0), of_dz)
    product(of_x, c, k, half, address(of_x, 0), 1, c, address(of_dz, 0), k, 1, address(dw, 0), 0, 0, 0.0, 0,
            _behind(scratch, of_x, of_dz))  # fmt: skip
    if db.size > 0:
        column_sums(dz, 0, n, db)


@kernel
def dense_input_gradient(dz, w, relu, scratch, dx):
    """dx (N, C) = dz @ w.T, and 0 where relu (N, C) is not positive, unless it has size 0."""
    (n, k), c = dz.shape, w.shape[0]
    if not dense_pays(n, c, k):
        full_dense_input_gradient(dz, w, relu, scratch, dx)
        return
    if HAS_AMX:
        tiled_dense_input_gradient(dz, w, relu, scratch, dx)
        return
    half = (k + 1) // 2
    of_dz = pairs_in(scratch, 0, (n, half))
    of_w = pairs_in(scratch, _whole(n * half), (c, half))
    _pair((n, half, k - half), address(dz, 0), of_dz, (c, half, k - half), address(w, 0), of_w)
    input_product(of_dz, of_w, relu, dx, _behind(scratch, of_dz, of_w))


def conv2d_scratch_size(
    x_shape: Any, w_shape: Any, y_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> int:
    """Return the number of elements that all three passes want as scratch."""
    placing = (stride, padding, dilation, groups)
    full = int(full_conv2d_scratch_size(x_shape, w_shape, y_shape, *placing))  # type: ignore[no-untyped-call]
    placed = (y_shape, w_shape, stride, dilation, groups)
    if HAS_AMX:
        return max(full, tiled_conv_scratch_size(x_shape[0], w_shape)) if is_tiled.py_func(*placed) else full
    if is_winograd.py_func(*placed) or not conv_pays.py_func(*placed):
        return full
    (n, h, w, c), (taps_h, taps_w, cg, k), (_, p, q, _) = x_shape, w_shape, y_shape
    taps, outputs, inputs, kg = taps_h * taps_w, n * p * q, n * h * w, k // groups
    forward = inputs * groups * _half(cg) + taps * _half(cg) * k
    input_gradient = taps * cg * k + outputs * groups * _half(kg) + taps * _half(kg) * c
    weight_gradient = _half(n) * (h * w * c + p * q * k) + full
    return int(max(full, forward, input_gradient, weight_gradient)) + 2 * LINE


@kernel
def conv_pays(y_shape, w_shape, stride, dilation, groups):
    """Return whether the passes are worth the copies, or the smaller tiles of Winograd's products.

    Times of float32 by those of bf16, forward, weight gradient, input gradient, 64 images: 16x16 pixels from 64 to 64
    channels, 1x1: 1.7, 1.6, 1.6. Of 10x10 pixels from 16 to 16 channels, 3x3, stride 2, 3.7 million multiply-adds: 1.0,
    1.2, 1.1. Winograd's: 32x32 pixels, 32 to 32 0.97, 1.05, 0.95; 14x14, 32 to 64 1.11, 1.23, 1.18; 16x16, 64 to 64
    1.07, 1.35, 1.17; 16 to 16 0.57, 0.78, 0.57; 10x10, 64 to 64 1.08, 1.09, 1.10, with 2.04 times the products; 5x5,
    128 to 128 0.85, 0.88, 1.06, with 2.9 times. Direct products of 5x5 kernels by F(2x2, 5x5) of float32: 16x16, 32 to
    64 0.96, 0.93, 0.95; 8x8, 128 to 128 0.91, 1.04, 0.93.
    """
    if HAS_AMX:
        return is_tiled(y_shape, w_shape, stride, dilation, groups)
    (taps_h, taps_w, cg, k), (n, p, q, _) = w_shape, y_shape
    if is_winograd(y_shape, w_shape, stride, dilation, groups):
        most = MANY * products(tile_outputs(3, y_shape), 3, y_shape)
        return taps_h == 3 and cg * k >= 1 << 11 and products(PAIRS_TILE, 3, y_shape) <= most
    return min(cg, k // groups) >= 16 and n * p * q * taps_h * taps_w * cg * k >= 1 << 22


@kernel
def conv2d_forward(x, w, b, stride, padding, dilation, groups, activation, alpha, scratch, y):
    """y (N, P, Q, K) = f(x (N, H, W, C) * w (R, S, C/groups, K) + b); padding: (top, left), the rest follows from y."""
    prepare(y, activation)
    (n, height, width, _), (taps_h, taps_w, cg, k) = x.shape, w.shape
    if not conv_pays(y.shape, w.shape, stride, dilation, groups):
        full_conv2d_forward(x, w, b, stride, padding, dilation, groups, activation, alpha, scratch, y)
        return
    if HAS_AMX:
        tiled_forward(x, w, b, stride, padding, dilation, activation, alpha, scratch, y)
        return
    if is_winograd(y.shape, w.shape, stride, dilation, groups):
        winograd(pairs_in(scratch, 0, (1,)), PLAIN, 3, address(x, 0), x.shape, address(w, 0),
                 address(b, 0) if b.size > 0 else 0, padding, activation, alpha, scratch, 0, 0, address(y, 0),
                 y.shape)  # fmt: skip
        return
    half, taps = (cg + 1) // 2, taps_h * taps_w
    of_x = pairs_in(scratch, 0, (n, height, width, groups * half))
    of_w = pairs_in(scratch, _whole(of_x.size), (taps_h, taps_w, half, k))
    _pair((n * height * width * groups, half, cg - half), address(x, 0), of_x,
          (taps, half * k, (cg - half) * k), address(w, 0), of_w)  # fmt: skip
    cut = bands(n, y.shape[1])
    run(forward_chunk, n * cut, y.size * taps * cg // 16,
        (n, cut, of_x, of_w, address(of_w, 0), k, b, stride, padding, dilation, groups, activation, alpha,
         y))  # fmt: skip


@kernel
def conv2d_input_gradient(dz, w, stride, padding, dilation, groups, scratch, dx):
    """dx (N, H, W, C) from dz (N, P, Q, K)."""
    (n, p, q, k), (taps_h, taps_w, cg, _) = dz.shape, w.shape
    if not conv_pays(dz.shape, w.shape, stride, dilation, groups):
        full_conv2d_input_gradient(dz, w, stride, padding, dilation, groups, scratch, dx)
        return
    if HAS_AMX:
        tiled_input_gradient(dz, w, stride, padding, dilation, scratch, dx)
        return
    flip(w, stride, padding, dilation, groups, dx.shape[3], scratch)
    if is_winograd(dz.shape, w.shape, stride, dilation, groups):
        winograd(pairs_in(scratch, 0, (1,)), PLAIN, 3, address(dz, 0), dz.shape, address(scratch, 0), 0,
                 (2 - padding[0], 2 - padding[1]), 0, 0.0, scratch, w.size, 0, address(dx, 0),
                 dx.shape)  # fmt: skip
        return
    kg, c, taps = k // groups, dx.shape[3], taps_h * taps_w
    half = (kg + 1) // 2
    of_dz = pairs_in(scratch, _whole(w.size), (n, p, q, groups * half))
    of_w = pairs_in(scratch, _whole(w.size) + _whole(of_dz.size), (taps * half * c,))
    _pair((n * p * q * groups, half, kg - half), address(dz, 0), of_dz,
          (taps, half * c, (kg - half) * c), address(scratch, 0), of_w)  # fmt: skip
    cut = bands(n, dx.shape[1])
    run(input_chunk, n * cut, dz.size * taps * cg // 16,
        (n, cut, of_dz, w, stride, padding, dilation, groups, c, of_w, dx))  # fmt: skip


@kernel
def conv2d_weight_gradient(x, dz, stride, padding, dilation, groups, scratch, dw, db):
    """dw (R, S, C/groups, K), db (K,) from x (N, H, W, C) and dz (N, P, Q, K)."""
    (n, height, width, c), (_, p, q, k) = x.shape, dz.shape
    if not conv_pays(dz.shape, dw.shape, stride, dilation, groups):
        full_conv2d_weight_gradient(x, dz, stride, padding, dilation, groups, scratch, dw, db)
        return
    if HAS_AMX:
        tiled_weight_gradient(x, dz, stride, padding, dilation, scratch, dw, db)
        return
    half = (n + 1) // 2
    parts, step, at = min(half, CHUNKS), dw.size + k, 0
    if is_winograd(dz.shape, dw.shape, stride, dilation, groups):
        parts, step, at = winograd_weight_gradient(pairs_in(scratch, 0, (1,)), PLAIN, 3, address(x, 0), x.shape, 0,
                                                   address(dz, 0), dz.shape, padding, scratch)  # fmt: skip
    else:
        of_x = pairs_in(scratch, 0, (half, height, width, c))
        of_dz = pairs_in(scratch, _whole(of_x.size), (half, p, q, k))
        at = _whole(of_x.size) + _whole(of_dz.size)
        _pair((1, of_x.size, (n - half) * height * width * c), address(x, 0), of_x,
              (1, of_dz.size, (n - half) * p * q * k), address(dz, 0), of_dz)  # fmt: skip
        parts, blocks = weight_cut(half, dw.shape, groups)
        run(direct_weight_chunk, parts * blocks, dz.size * dw.size // k // 16,
            (parts, of_x, of_dz, stride, padding, dilation, groups, scratch[at:], dw))  # fmt: skip
    run(sum_chunk, CHUNKS, dw.size * parts, (parts, step, scratch[at:], dw.reshape(-1), db))


@kernel
def _behind(scratch, first, second):
    """Return the address of the scratch memory behind two copies."""
    return address(scratch, _whole(first.size) + _whole(second.size))


@kernel
def _whole(count):
    return (count + LINE - 1) // LINE * LINE


@kernel
def _pair(shape_a, a, of_a, shape_b, b, of_b):
    """Copy both operands as pairs: of_a[i, j] = (a[i, j], a[i, columns + j]), shape_a = (rows, columns, seconds).

    Their rows, at the addresses a and b, are `columns` and `seconds` float32.
    """
    run(_pair_chunk, 2 * CHUNKS, of_a.size + of_b.size,
        (shape_a, a, address(of_a, 0), shape_b, b, address(of_b, 0), of_a))  # fmt: skip


@kernel
def _pair_chunk(chunk, shape_a, a, of_a, shape_b, b, of_b, like):
    (rows, columns, seconds), source, to = (shape_a, a, of_a) if chunk < CHUNKS else (shape_b, b, of_b)
    down = min(rows, CHUNKS)
    across = CHUNKS // down
    row, column = chunk % CHUNKS // across, chunk % CHUNKS % across
    if row >= down:
        return
    first, last = row * rows // down, (row + 1) * rows // down
    j0, j1 = _whole(column * columns // across), min(columns, _whole((column + 1) * columns // across))
    source += (first * (columns + seconds) + j0) * 4
    pair(like, last - first, j1 - j0, min(j1, seconds) - j0, source, source + columns * 4, columns + seconds,
         to + (first * columns + j0) * 4, columns)  # fmt: skip
