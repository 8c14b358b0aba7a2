"""Optimizer updates of parameters w by their gradients dw, and what comes before: sums over batches, clipping.

All in place; all arrays (size,).

SGD with momentum and Nesterov's form as in Keras; RMSprop: Hinton's lecture 6e; Adam: Kingma and Ba 2015,
arXiv:1412.6980; decoupled weight decay (AdamW): Loshchilov and Hutter 2019, arXiv:1711.05101.
"""

import numpy as np

from ._arrays import Array


def sgd_update(
    dw: Array, learning_rate: float, momentum: float, nesterov: bool, weight_decay: float, v: Array, w: Array
) -> None:
    """g = dw + weight_decay * w; v = momentum * v - learning_rate * g; w += v.

    With `nesterov`, w += momentum * v - learning_rate * g instead. Without momentum, v has size 0.
    """
    step = learning_rate * (dw + weight_decay * w if weight_decay else dw)
    if momentum == 0:
        w -= step
        return
    v *= momentum
    v -= step
    w += momentum * v - step if nesterov else v


def rmsprop_update(
    dw: Array, learning_rate: float, rho: float, eps: float, momentum: float, s: Array, v: Array, w: Array
) -> None:
    """s = rho * s + (1 - rho) * dw^2; u = learning_rate * dw / (sqrt(s) + eps); w -= u.

    With momentum, v = momentum * v + u and w -= v; without, v has size 0.
    """
    s *= rho
    s += (1 - rho) * dw * dw
    step = learning_rate * dw / (np.sqrt(s) + eps)
    if momentum == 0:
        w -= step
        return
    v *= momentum
    v += step
    w -= v


def adam_update(
    dw: Array,
    learning_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
    m: Array,
    s: Array,
    w: Array,
) -> None:
    """Update number `step` (1, 2, ...): w -= learning_rate * mhat / (sqrt(shat) + eps), both bias-corrected.

    `weight_decay` is added to the gradient (Adam), or, when `decoupled`, taken from w itself (AdamW).
    """
    g = dw + weight_decay * w if weight_decay and not decoupled else dw
    m *= beta1
    m += (1 - beta1) * g
    s *= beta2
    s += (1 - beta2) * g * g
    if weight_decay and decoupled:
        w *= 1 - learning_rate * weight_decay
    root = np.sqrt(s / (1 - beta2**step))
    root += eps
    w -= learning_rate / (1 - beta1**step) * m / root


def accumulate_gradients(weight: float, first: int, total: Array, g: Array) -> None:
    """g = weight * g, plus total (size,) unless this is the first of the gradients to add; total = g."""
    g *= weight
    if not first:
        g += total
    total[...] = g


def clip_by_value(limit: float, g: Array) -> None:
    """g is limited to -limit..limit, in place."""
    np.clip(g, -limit, limit, out=g)


def sum_of_squares(g: Array, out: Array) -> None:
    """out (1,) float64 = the sum of g^2, added in float64."""
    out[0] = np.square(g, dtype=np.float64).sum()


def clip_by_norm(limit: float, squares: Array, g: Array) -> None:
    """g *= limit / norm in place where norm, the root of squares (1,) float64, is above the limit."""
    norm = float(np.sqrt(squares[0]))
    if norm > limit:
        g *= limit / norm
