"""The products of dense layers and convolutions with operands rounded to bf16, in the float type of the arrays.

bf16 is a float32 with 8 significant bits in the place of 24. `dense_weight_gradient` sums its biases' gradients as they
are; that of convolutions sums rounded ones.
"""

import numpy as np

from . import conv, dense
from ._arrays import Array, Pair
from .conv import conv2d_scratch_size
from .dense import dense_scratch_size

__all__ = [
    "conv2d_forward",
    "conv2d_input_gradient",
    "conv2d_scratch_size",
    "conv2d_weight_gradient",
    "dense_forward",
    "dense_input_gradient",
    "dense_scratch_size",
    "dense_weight_gradient",
]


def rounded(a: Array) -> Array:
    """The nearest bf16 of each number, of two the one whose last bit is 0; NaN and infinity stay."""
    bits = a.astype(np.float32).view(np.uint32)
    nearest = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return np.where(np.isfinite(a), nearest.view(np.float32), a).astype(a.dtype)


def dense_forward(x: Array, w: Array, b: Array, activation: int, alpha: float, scratch: Array, y: Array) -> None:
    """y (N, K) = f(x (N, C) @ w (C, K) + b (K,)); b of size 0: no bias."""
    dense.dense_forward(rounded(x), rounded(w), b, activation, alpha, scratch, y)


def dense_weight_gradient(x: Array, dz: Array, scratch: Array, dw: Array, db: Array) -> None:
    """dw (C, K) = x.T @ dz and db (K,) = sum of dz (N, K) over N; db of size 0: skipped."""
    dense.dense_weight_gradient(rounded(x), rounded(dz), scratch, dw, db[:0])
    if db.size:
        np.sum(dz, axis=0, out=db)


def dense_input_gradient(dz: Array, w: Array, relu: Array, scratch: Array, dx: Array) -> None:
    """dx (N, C) = dz (N, K) @ w.T, with w (C, K); relu: see `dense.dense_input_gradient`."""
    dense.dense_input_gradient(rounded(dz), rounded(w), relu, scratch, dx)


def conv2d_forward(
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    activation: int,
    alpha: float,
    scratch: Array,
    y: Array,
) -> None:
    """y (N, P, Q, K) = f(conv(x (N, H, W, C), w (R, S, C/groups, K)) + b (K,)); b of size 0: no bias."""
    placing = (stride, padding, dilation, groups)
    conv.conv2d_forward(rounded(x), rounded(w), b, *placing, activation, alpha, scratch, y)


def conv2d_weight_gradient(
    x: Array,
    dz: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    scratch: Array,
    dw: Array,
    db: Array,
) -> None:
    """dw (R, S, C/groups, K) and db (K,) from x (N, H, W, C) and dz (N, P, Q, K); db of size 0: skipped."""
    conv.conv2d_weight_gradient(rounded(x), rounded(dz), stride, padding, dilation, groups, scratch, dw, db)


def conv2d_input_gradient(
    dz: Array,
    w: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    scratch: Array,
    dx: Array,
) -> None:
    """dx (N, H, W, C) from dz (N, P, Q, K) and w (R, S, C/groups, K)."""
    conv.conv2d_input_gradient(rounded(dz), rounded(w), stride, padding, dilation, groups, scratch, dx)
