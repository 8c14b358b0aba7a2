"""1x1 convolutions of stride 1, forward and back to the weights: dense layers whose samples are the pixels.

Times of the convolution's own ways by these, AVX-512, two threads, forward and weight gradient: 64x16x16x64 to 64 1.09,
1.27; 64x8x8x128 to 128 1.22, 1.51; 64x14x14x32 to 10 1.32, 1.65; 64x28x28x64 to 1 2.5, 4.2; 32x28x28x8 to 8 1.5, 0.95;
1x28x28x64 to 64 1.12, 1.09. The input gradient stays with them: 0.6 to 1.16.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from .dense import dense_forward, dense_weight_gradient


@kernel
def is_pointwise(x_shape, w_shape, y_shape, stride, padding, groups):
    """Return whether each output pixel has one input pixel."""
    single = w_shape[0] * w_shape[1] * stride[0] * stride[1] == 1 and groups == 1
    return single and padding[0] == 0 and padding[1] == 0 and x_shape[1] == y_shape[1] and x_shape[2] == y_shape[2]


@kernel
def pointwise_forward(_, x, w, b, activation, alpha, scratch, y):
    """y = f(x * w + b). A task, and so compiled where it is wanted only."""
    c, k = w.shape[2:]
    dense_forward(x.reshape(-1, c), w.reshape(c, k), b, activation, alpha, scratch, y.reshape(-1, k))


@kernel
def pointwise_weight_gradient(_, x, dz, scratch, dw, db):
    """dw and db from x and dz. A task, too."""
    c, k = dw.shape[2:]
    dense_weight_gradient(x.reshape(-1, c), dz.reshape(-1, k), scratch, dw.reshape(c, k), db)
