"""A convolution of stride 1, 2x2 max pooling and, with `rectify`, ReLU in one operation, and its weights' gradient.

    y[n,p,q,k] = f(max over the 4 outputs at 2p, 2p+1 and 2q, 2q+1 of conv(x, w) + b)

index (N, P, Q, K) uint16 says where an output's gradient goes: 0 to 3 is the place of the first maximum (or first NaN)
in its window, as pooling has it, and 65535 is nowhere, because ReLU gave 0.
"""

import numpy as np

from ._arrays import Array, Pair
from .activation import RELU, activation_forward
from .conv import conv2d_forward, conv2d_input_gradient, conv2d_weight_gradient
from .pool import max_pool2d_backward, max_pool2d_forward

_NOWHERE = 2**16 - 1
_WINDOW: tuple[Pair, Pair, Pair] = ((2, 2), (2, 2), (0, 0))


def conv2d_pool_scratch_size(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], y_shape: tuple[int, ...], itemsize: int, inner: bool
) -> int:
    """Elements of the scratch array, of which none are used here; -1 where the operations on their own are faster.

    inner: the input has a gradient. Where this is 0 the gradients are those of pooling and of the convolution.
    """
    return int(inner)


def conv2d_pool_forward(
    x: Array, w: Array, b: Array, padding: Pair, rectify: bool, scratch: Array, index: Array, y: Array
) -> None:
    """index and y (N, P, Q, K) from x (N, H, W, C), w (R, S, C, K) and b (K,); b of size 0: no bias."""
    n, p, q, k = y.shape
    outputs = np.empty((n, 2 * p, 2 * q, k), y.dtype)
    conv2d_forward(x, w, b, (1, 1), padding, (1, 1), 1, 0, 0.0, y[:0], outputs)
    max_pool2d_forward(outputs, *_WINDOW, index, y)
    if rectify:
        index[y <= 0] = _NOWHERE
        activation_forward(RELU, 0.0, y.reshape(-1), y.reshape(-1))


def has_conv2d_pool_inference(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], y_shape: tuple[int, ...], itemsize: int
) -> bool:
    """Whether outputs without places are made for these shapes: for all of them here."""
    return True


def conv2d_pool_inference(x: Array, w: Array, b: Array, padding: Pair, rectify: bool, y: Array) -> None:
    """y (N, P, Q, K) alone, as of `conv2d_pool_forward`."""
    conv2d_pool_forward(x, w, b, padding, rectify, y[:0], np.empty(y.shape, np.uint16), y)


def conv2d_pool_weight_gradient(
    x: Array, index: Array, dy: Array, padding: Pair, scratch: Array, dw: Array, db: Array
) -> None:
    """dw (R, S, C, K) and db (K,) from x (N, H, W, C), index and dy (N, P, Q, K); db of size 0: skipped."""
    conv2d_weight_gradient(x, _outputs_gradient(index, dy), (1, 1), padding, (1, 1), 1, scratch, dw, db)


def conv2d_pool_input_gradient(
    index: Array, dy: Array, w: Array, padding: Pair, scratch: Array, dx: Array
) -> None:
    """dx (N, H, W, C) from index and dy (N, P, Q, K), and w (R, S, C, K)."""
    conv2d_input_gradient(_outputs_gradient(index, dy), w, (1, 1), padding, (1, 1), 1, scratch, dx)


def _outputs_gradient(index: Array, dy: Array) -> Array:
    n, p, q, k = dy.shape
    dz = np.empty((n, 2 * p, 2 * q, k), dy.dtype)
    max_pool2d_backward(index, dy, *_WINDOW, dz)
    return dz
