"""Two-dimensional convolution (cross-correlation) of NHWC images with (R, S, C/groups, K) weights.

    y[n,p,q,k] = f(b[k] + sum over r,s,c of x[n,i,j,c] * w[r,s,c,k])
    with i = p * stride + r * dilation - top and j = q * stride + s * dilation - left

where pixels outside the image count as 0 and output group g sees input group g only. padding is (top, left):
what lies below and to the right follows from y's shape. The forward pass and the weight gradient gather the
windows into a matrix (im2col) for one BLAS product per group; the input gradient is one product per kernel
tap, added where that tap read its pixels (col2im).
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ._arrays import Array, Pair, tap_slices
from .activation import activation_forward


def conv2d_scratch_size(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> int:
    """Elements of the scratch array that serves all three passes: none here."""
    return 0


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
    windows = _windows(x, w.shape[:2], y.shape[1:3], stride, padding, dilation)
    flat = y.reshape(-1, y.shape[3])
    for inputs, outputs in _groups(x.shape[3], y.shape[3], groups):
        kernel = w[..., outputs].reshape(-1, outputs.stop - outputs.start)
        np.matmul(_columns(windows, inputs), kernel, out=flat[:, outputs])
    if b.size:
        flat += b
    activation_forward(activation, alpha, y.reshape(-1), y.reshape(-1))


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
    windows = _windows(x, dw.shape[:2], dz.shape[1:3], stride, padding, dilation)
    flat = dz.reshape(-1, dz.shape[3])
    kernel = dw.reshape(-1, dw.shape[3])
    for inputs, outputs in _groups(x.shape[3], dz.shape[3], groups):
        np.matmul(_columns(windows, inputs).T, flat[:, outputs], out=kernel[:, outputs])
    if db.size:
        np.sum(flat, axis=0, out=db)


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
    n, p, q, k = dz.shape
    h, width, c = dx.shape[1:]
    flat = dz.reshape(-1, k)
    dx.fill(0)
    for r in range(w.shape[0]):
        rows, pixel_rows = tap_slices(p, h, stride[0], r * dilation[0] - padding[0])
        for s in range(w.shape[1]):
            columns, pixel_columns = tap_slices(q, width, stride[1], s * dilation[1] - padding[1])
            for inputs, outputs in _groups(c, k, groups):
                product = (flat[:, outputs] @ w[r, s, :, outputs].T).reshape(n, p, q, -1)
                dx[:, pixel_rows, pixel_columns, inputs] += product[:, rows, columns]


def _groups(c: int, k: int, groups: int) -> list[tuple[slice, slice]]:
    """The input channels and the output channels of each group."""
    return [
        (slice(g * c // groups, (g + 1) * c // groups), slice(g * k // groups, (g + 1) * k // groups))
        for g in range(groups)
    ]


def _windows(
    x: Array, size: tuple[int, ...], outputs: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """Every window of the padded image: a read-only (N, P, Q, R, S, C) view that copies no pixel twice."""
    n, h, width, c = x.shape
    below, right = (
        max(0, (outputs[a] - 1) * stride[a] + (size[a] - 1) * dilation[a] + 1 - padding[a] - x.shape[1 + a])
        for a in (0, 1)
    )
    if padding != (0, 0) or below or right:
        padded = np.zeros((n, padding[0] + h + below, padding[1] + width + right, c), x.dtype)
        padded[:, padding[0] : padding[0] + h, padding[1] : padding[1] + width] = x
        x = padded
    image, row, pixel, channel = x.strides
    strides = (image, row * stride[0], pixel * stride[1], row * dilation[0], pixel * dilation[1], channel)
    return as_strided(x, (n, *outputs, *size, c), strides, writeable=False)


def _columns(windows: Array, channels: slice) -> Array:
    """The windows' chosen channels as a matrix (N*P*Q, R*S*C): a copy, unless windows are single pixels."""
    n, p, q = windows.shape[:3]
    return windows[..., channels].reshape(n * p * q, -1)
