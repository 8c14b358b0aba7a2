"""The dense layer: y = f(x @ w + b), with x (N, C), w (C, K), b (K,) and y (N, K).

With dz = dy * f'(.) the gradients are dw = x.T @ dz, db = sum of dz over N, and dx = dz @ w.T.
"""

import numpy as np

from ._arrays import Array
from .activation import activation_forward


def dense_scratch_size(n: int, c: int, k: int) -> int:
    """Elements of the scratch array that serves all three products: none here."""
    return 0


def dense_forward(x: Array, w: Array, b: Array, activation: int, alpha: float, scratch: Array, y: Array) -> None:
    """y (N, K) = f(x (N, C) @ w (C, K) + b (K,)); b of size 0: no bias."""
    np.matmul(x, w, out=y)
    if b.size:
        y += b
    flat = y.reshape(-1)
    activation_forward(activation, alpha, flat, flat)


def dense_weight_gradient(x: Array, dz: Array, scratch: Array, dw: Array, db: Array) -> None:
    """dw (C, K) = x.T @ dz and db (K,) = sum of dz (N, K) over N; db of size 0: skipped."""
    np.matmul(x.T, dz, out=dw)
    if db.size:
        np.sum(dz, axis=0, out=db)


def dense_input_gradient(dz: Array, w: Array, relu: Array, scratch: Array, dx: Array) -> None:
    """dx (N, C) = dz (N, K) @ w.T, with w (C, K).

    relu (N, C): the output of a ReLU from which x came; its slope is in dx then, which is 0 where relu <= 0. Size 0:
    there is none.
    """
    np.matmul(dz, w.T, out=dx)
    if relu.size:
        dx[relu <= 0] = 0
