"""Activations f(x), slopes f'(x), clipping, softmax and dropout; s is sigmoid.

    relu        max(x, 0)                              1 where x > 0, else 0
    leaky relu  x where x > 0, else alpha * x          1 where x > 0, else alpha
    elu         x where x > 0, else alpha * (e^x - 1)  1 where x > 0, else f + alpha
    gelu        x * Phi, Phi = erfc(-x / sqrt 2) / 2   Phi + x * exp(-x^2 / 2) / sqrt(2 pi)
    gelu tanh   x * s(2u)                              s(2u) + x * s(2u) * (1 - s(2u)) * 2u'
                    with u = sqrt(2 / pi) * (x + 0.044715 x^3)
    silu        x * s(x)                               s + x * s * (1 - s)
    softplus    log(1 + e^x)                           s(x)
    sigmoid     1 / (1 + e^-x)                         f * (1 - f)
    tanh        tanh(x)                                1 - f^2

GELU: Hendrycks and Gimpel 2016, arXiv:1606.08415, whose 0.5 * (1 + tanh u) is s(2u). All are written so that
nothing overflows and no digits cancel; NaN passes through.
"""

import math
from collections.abc import Callable

import numpy as np

from ._arrays import Array
from ._special import erfc, sigmoid

IDENTITY = 0
RELU = 1
LEAKY_RELU = 2
ELU = 3
GELU = 4
GELU_TANH = 5
SILU = 6
SOFTPLUS = 7
SIGMOID = 8
TANH = 9

_GELU_SLOPE = math.sqrt(2 / math.pi)
_GELU_CUBE = 0.044715
_GELU_END = 40.0  # beyond it both GELUs are 0 or x to the last bit, and powers of x could overflow


def activation_forward(activation: int, alpha: float, x: Array, y: Array) -> None:
    """y = f(x), both (size,), maybe the same array.

    `activation` is one of this module's codes; `alpha` is LEAKY_RELU's slope or ELU's alpha, else ignored.
    """
    _FORWARD[activation](alpha, x, y)


def activation_backward(activation: int, alpha: float, x: Array, y: Array, dy: Array, dx: Array) -> None:
    """dx = dy * f'(x), all (size,); dx may be one of the others.

    RELU, LEAKY_RELU, ELU, SIGMOID and TANH read only the output y (x may have size 0); GELU, GELU_TANH, SILU
    and SOFTPLUS read only the input x (y may have size 0). At 0, ReLU has slope 0 and LeakyReLU `alpha`.
    """
    if activation == IDENTITY:
        np.copyto(dx, dy)
    elif activation == RELU:
        np.copyto(dx, np.where(y <= 0, 0, dy))
    else:
        np.multiply(dy, _SLOPE[activation](alpha, x, y), out=dx)


def clip_forward(low: float, high: float, x: Array, y: Array) -> None:
    """y = x limited to low..high, both (size,), maybe the same array."""
    np.clip(x, low, high, out=y)


def clip_backward(low: float, high: float, y: Array, dy: Array, dx: Array) -> None:
    """dx = dy where the output y lies between low and high, else 0; all (size,); dx may be one of the others."""
    np.copyto(dx, np.where((y <= low) | (y >= high), 0, dy))


def softmax_forward(x: Array, y: Array) -> None:
    """y (N, C) = softmax of each row of x (N, C); y may be x."""
    np.subtract(x, x.max(axis=1, keepdims=True), out=y)
    np.exp(y, out=y)
    y /= y.sum(axis=1, keepdims=True)


def softmax_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx (N, C) = y * (dy - sum of dy * y over the row), with y the output."""
    np.multiply(y, dy - (dy * y).sum(axis=1, keepdims=True), out=dx)


def log_softmax_forward(x: Array, y: Array) -> None:
    """y (N, C) = log softmax of each row of x (N, C); y may be x."""
    np.subtract(x, x.max(axis=1, keepdims=True), out=y)
    y -= np.log(np.exp(y).sum(axis=1, keepdims=True))


def log_softmax_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx (N, C) = dy - exp(y) * sum of dy over the row, with y the output."""
    np.subtract(dy, np.exp(y) * dy.sum(axis=1, keepdims=True), out=dx)


def dropout_forward(rate: float, key: int, x: Array, y: Array) -> None:
    """y = x / (1 - rate) where the key keeps the element, else 0; x and y (size,), maybe the same array.

    Element i is kept when its uniform number, a pure function of (key, i), is at least `rate`; 0 <= rate < 1.
    """
    np.copyto(y, np.where(_uniform(key, x.size) >= rate, x * (1 / (1 - rate)), 0))


def dropout_backward(rate: float, key: int, dy: Array, dx: Array) -> None:
    """dx = dy / (1 - rate) where the key keeps the element, else 0: dropout is its own gradient."""
    dropout_forward(rate, key, dy, dx)


def _uniform(key: int, count: int) -> Array:
    """Element i's number in [0, 1), 24 bits: splitmix64 (Steele, Lea, Flood 2014) after i + 1 steps."""
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(key)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    uniform: Array = (z >> np.uint64(40)) * 2.0**-24
    return uniform


def _leaky_relu(alpha: float, x: Array, y: Array) -> None:
    np.multiply(x, np.where(x > 0, x.dtype.type(1), x.dtype.type(alpha)), out=y)


def _elu(alpha: float, x: Array, y: Array) -> None:
    np.copyto(y, np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))


def _softplus(alpha: float, x: Array, y: Array) -> None:
    np.add(np.maximum(x, 0), np.log1p(np.exp(-np.abs(x))), out=y)


def _gelu_tanh_gate(x: Array) -> Array:
    u = x.clip(-_GELU_END, _GELU_END)
    return sigmoid(2 * _GELU_SLOPE * (u + _GELU_CUBE * u * u * u))


def _leaky_relu_slope(alpha: float, x: Array, y: Array) -> Array:
    slope: Array = np.where(y > 0, y.dtype.type(1), y.dtype.type(alpha))
    return slope


def _elu_slope(alpha: float, x: Array, y: Array) -> Array:
    return np.where(y > 0, y.dtype.type(1), y + alpha)


def _gelu_slope(alpha: float, x: Array, y: Array) -> Array:
    u = x.clip(-_GELU_END, _GELU_END)
    slope: Array = 0.5 * erfc(x * -math.sqrt(0.5)) + u * np.exp(-0.5 * u * u) * (1 / math.sqrt(2 * math.pi))
    return slope


def _gelu_tanh_slope(alpha: float, x: Array, y: Array) -> Array:
    u = x.clip(-_GELU_END, _GELU_END)
    s = _gelu_tanh_gate(x)
    slope: Array = s + u * s * (1 - s) * (2 * _GELU_SLOPE) * (1 + 3 * _GELU_CUBE * u * u)
    return slope


def _silu_slope(alpha: float, x: Array, y: Array) -> Array:
    s = sigmoid(x)
    slope: Array = s + x * s * (1 - s)
    return slope


_FORWARD: dict[int, Callable[[float, Array, Array], object]] = {
    IDENTITY: lambda alpha, x, y: np.copyto(y, x),
    RELU: lambda alpha, x, y: np.maximum(x, 0, out=y),
    LEAKY_RELU: _leaky_relu,
    ELU: _elu,
    GELU: lambda alpha, x, y: np.multiply(x, 0.5 * erfc(x * -math.sqrt(0.5)), out=y),
    GELU_TANH: lambda alpha, x, y: np.multiply(x, _gelu_tanh_gate(x), out=y),
    SILU: lambda alpha, x, y: np.multiply(x, sigmoid(x), out=y),
    SOFTPLUS: _softplus,
    SIGMOID: lambda alpha, x, y: np.copyto(y, sigmoid(x)),
    TANH: lambda alpha, x, y: np.tanh(x, out=y),
}

_SLOPE: dict[int, Callable[[float, Array, Array], Array]] = {
    LEAKY_RELU: _leaky_relu_slope,
    ELU: _elu_slope,
    GELU: _gelu_slope,
    GELU_TANH: _gelu_tanh_slope,
    SILU: _silu_slope,
    SOFTPLUS: lambda alpha, x, y: sigmoid(x),
    SIGMOID: lambda alpha, x, y: y * (1 - y),
    TANH: lambda alpha, x, y: 1 - y * y,
}
