"""Activations f(x), slopes f'(x), clipping, softmax and dropout; s is the logistic sigmoid, P the normal distribution.

    relu        max(x, 0)                              1 where x > 0, else 0
    leaky relu  x where x > 0, else alpha * x          1 where x > 0, else alpha
    elu         x where x > 0, else alpha * (e^x - 1)  1 where x > 0, else f + alpha
    gelu        x * P(x)                               P + x * exp(-x^2 / 2) / sqrt(2 pi)
    gelu tanh   x * s(2u)                              s + x * s * (1 - s) * 2u'
                    with u = sqrt(2 / pi) * (x + 0.044715 x^3)
    silu        x * s(x)                               s + x * s * (1 - s)
    softplus    log(1 + e^x)                           s(x)
    sigmoid     s(x)                                   f * (1 - f)
    tanh        tanh(x)                                1 - f^2

GELU: Hendrycks and Gimpel 2016, arXiv:1606.08415, whose 0.5 * (1 + tanh u) is s(2u). NaN passes through.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np

from ._jit import exact, kernel
from ._math import BLOCK, CHUNK, exp, expm1, log, log1p_unit, normal, sigmoid, stack_block, tanh, typed
from ._parallel import run
from ._rows import maximum, total

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

_GELU_SLOPE = 2 * math.sqrt(2 / math.pi)
_GELU_CUBE = 0.044715
_BELL = 1 / math.sqrt(2 * math.pi)
_END = 40.0  # beyond it both GELUs are 0 or x to the last bit, and powers of x could overflow
_COST = 8  # of an exponential, in elements moved


@kernel
def activation_forward(activation, alpha, x, y):
    """y = f(x), both (size,), maybe the same array.

    `activation` is one of this module's codes; `alpha` is LEAKY_RELU's slope or ELU's alpha, else ignored.
    """
    chunks = -(-x.size // CHUNK)
    if activation == RELU:  # a task of its own: most networks need no other, and exponentials compile for a second
        run(_relu_chunk, chunks, x.size, (x, y))
        return
    run(_forward_chunk, chunks, x.size * (1 if activation <= LEAKY_RELU else _COST), (activation, alpha, x, y))


@kernel
def _relu_chunk(chunk, x, y):
    result = stack_block(x)
    zero = typed(result[0], 0.0)
    for first in range(chunk * CHUNK, min((chunk + 1) * CHUNK, x.size), BLOCK):
        last = min(first + BLOCK, x.size)
        source, out = x[first:last], y[first:last]
        for i in range(source.size):
            result[i] = zero if source[i] <= zero else source[i]
        for i in range(source.size):
            out[i] = result[i]


@kernel
def _forward_chunk(chunk, activation, alpha, x, y):
    activate_span(activation, alpha, x, chunk * CHUNK, min((chunk + 1) * CHUNK, x.size), y)


@kernel
def activate_span(activation, alpha, x, start, stop, y):
    """y[start:stop] = f(x[start:stop]), both 1-D, maybe the same array. Not for RELU."""
    result = stack_block(x)
    alpha = typed(result[0], alpha)
    zero, half = typed(result[0], 0.0), typed(result[0], 0.5)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        source, out = x[first:last], y[first:last]
        n = source.size
        if activation == LEAKY_RELU:
            for i in range(n):
                result[i] = source[i] if source[i] > zero else alpha * source[i]
        elif activation == ELU:
            for i in range(n):
                result[i] = source[i] if source[i] > zero else alpha * expm1(source[i])
        elif activation == GELU:
            for i in range(n):
                result[i] = source[i] * normal(source[i])[0]
        elif activation == GELU_TANH:
            for i in range(n):
                result[i] = source[i] * _gelu_tanh_gate(source[i])
        elif activation == SILU:
            for i in range(n):
                result[i] = source[i] * sigmoid(source[i])
        elif activation == SOFTPLUS:
            for i in range(n):
                result[i] = half * (source[i] + abs(source[i])) + log1p_unit(exp(-abs(source[i])))
        elif activation == SIGMOID:
            for i in range(n):
                result[i] = sigmoid(source[i])
        elif activation == TANH:
            for i in range(n):
                result[i] = tanh(source[i])
        else:
            for i in range(n):
                result[i] = source[i]
        for i in range(n):
            out[i] = result[i]


@kernel
def _gelu_tanh_gate(x):
    x = _limited(x)
    return sigmoid(typed(x, _GELU_SLOPE) * (x + typed(x, _GELU_CUBE) * x * x * x))


@kernel
def _limited(x):
    low, high = typed(x, -_END), typed(x, _END)
    x = low if x < low else x
    return high if x > high else x


@kernel
def activation_backward(activation, alpha, x, y, dy, dx):
    """dx = dy * f'(x), all (size,); dx may be one of the others.

    RELU, LEAKY_RELU, ELU, SIGMOID and TANH read only the output y (x may have size 0); GELU, GELU_TANH, SILU and
    SOFTPLUS read only the input x (y may have size 0). At 0, ReLU has slope 0 and LeakyReLU `alpha`.
    """
    reads_input = GELU <= activation <= SOFTPLUS
    chunks, cost = -(-dy.size // CHUNK), _COST if reads_input else 1
    if activation == RELU:
        run(_relu_backward_chunk, chunks, dy.size, (y, dy, dx))
        return
    run(_backward_chunk, chunks, dy.size * cost, (activation, alpha, x if reads_input else y, dy, dx))


@kernel
def _relu_backward_chunk(chunk, y, dy, dx):
    result = stack_block(dy)
    zero = typed(result[0], 0.0)
    for first in range(chunk * CHUNK, min((chunk + 1) * CHUNK, dy.size), BLOCK):
        last = min(first + BLOCK, dy.size)
        known, given, out = y[first:last], dy[first:last], dx[first:last]
        for i in range(given.size):
            result[i] = zero if known[i] <= zero else given[i]
        for i in range(given.size):
            out[i] = result[i]


@kernel
def _backward_chunk(chunk, activation, alpha, source, dy, dx):
    result = stack_block(dy)
    alpha = typed(result[0], alpha)
    zero, one = typed(result[0], 0.0), typed(result[0], 1.0)
    for first in range(chunk * CHUNK, min((chunk + 1) * CHUNK, dy.size), BLOCK):
        last = min(first + BLOCK, dy.size)
        given, out = dy[first:last], dx[first:last]
        known = source[first:last]  # empty where `activation` is IDENTITY, which reads neither
        n = given.size
        if activation == LEAKY_RELU:
            for i in range(n):
                result[i] = given[i] * (one if known[i] > zero else alpha)
        elif activation == ELU:
            for i in range(n):
                result[i] = given[i] * (one if known[i] > zero else known[i] + alpha)
        elif activation == GELU:
            for i in range(n):
                below, bell = normal(known[i])
                result[i] = given[i] * (below + _limited(known[i]) * bell * typed(alpha, _BELL))
        elif activation == GELU_TANH:
            for i in range(n):
                v = _limited(known[i])
                s = _gelu_tanh_gate(v)
                inner = typed(alpha, _GELU_SLOPE) * (one + typed(alpha, 3 * _GELU_CUBE) * v * v)
                result[i] = given[i] * (s + v * s * (one - s) * inner)
        elif activation == SILU:
            for i in range(n):
                s = sigmoid(known[i])
                result[i] = given[i] * (s + known[i] * s * (one - s))
        elif activation == SOFTPLUS:
            for i in range(n):
                result[i] = given[i] * sigmoid(known[i])
        elif activation == SIGMOID:
            for i in range(n):
                result[i] = given[i] * (known[i] * (one - known[i]))
        elif activation == TANH:
            for i in range(n):
                result[i] = given[i] * (one - known[i] * known[i])
        else:
            for i in range(n):
                result[i] = given[i]
        for i in range(n):
            out[i] = result[i]


@kernel
def clip_forward(low, high, x, y):
    """y = x limited to low..high, both (size,), maybe the same array."""
    run(_clip_forward_chunk, -(-x.size // CHUNK), x.size, (low, high, x, y))


@kernel
def _clip_forward_chunk(chunk, low, high, x, y):
    first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, x.size)
    x, y = x[first:last], y[first:last]
    bottom, top = typed(x[0], low), typed(x[0], high)
    for i in range(x.size):
        value = top if x[i] > top else x[i]
        y[i] = bottom if value < bottom else value


@kernel
def clip_backward(low, high, y, dy, dx):
    """dx = dy where the output y lies between low and high, else 0; all (size,); dx may be one of the others."""
    run(_clip_backward_chunk, -(-y.size // CHUNK), y.size, (low, high, y, dy, dx))


@kernel
def _clip_backward_chunk(chunk, low, high, y, dy, dx):
    first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, y.size)
    y, dy, dx = y[first:last], dy[first:last], dx[first:last]
    bottom, top, zero = typed(y[0], low), typed(y[0], high), typed(y[0], 0.0)
    for i in range(y.size):
        dx[i] = zero if (y[i] <= bottom) | (y[i] >= top) else dy[i]


@kernel
def softmax_forward(x, y):
    """y (N, C) = softmax of each row of x (N, C)."""
    rows = max(1, CHUNK // x.shape[1])
    run(_softmax_chunk, -(-x.shape[0] // rows), x.size * _COST, (rows, x, y))


@kernel
def _softmax_chunk(chunk, rows, x, y):
    first, last = chunk * rows, min((chunk + 1) * rows, x.shape[0])
    exponentials(x, first, last, y)
    for i in range(first, last):
        row = y[i]
        inverse = typed(row[0], 1.0) / total(row)
        for c in range(row.size):
            row[c] *= inverse


@kernel
def exponentials(x, first, last, y):
    """y[i] = exp(x[i] - max(x[i])) for the rows i of first..last."""
    for i in range(first, last):
        row, shifted = x[i], y[i]
        top = maximum(row)
        for c in range(row.size):
            shifted[c] = row[c] - top
    flat = y[first:last].reshape(-1)  # in one loop, so that short rows fill the vectors too
    for i in range(flat.size):
        flat[i] = exp(flat[i])


@kernel
def softmax_backward(y, dy, dx):
    """dx (N, C) = y * (dy - sum of dy * y over the row), with y the output."""
    rows = max(1, CHUNK // y.shape[1])
    run(_softmax_backward_chunk, -(-y.shape[0] // rows), y.size, (rows, y, dy, dx))


@kernel
def _softmax_backward_chunk(chunk, rows, y, dy, dx):
    first, last = chunk * rows, min((chunk + 1) * rows, y.shape[0])
    for i in range(first, last):
        p, dp, dz = y[i], dy[i], dx[i]
        inner = typed(p[0], 0.0)
        for c in range(p.size):
            inner += dp[c] * p[c]
        for c in range(p.size):
            dz[c] = p[c] * (dp[c] - inner)


@kernel
def log_softmax_forward(x, y):
    """y (N, C) = log softmax of each row of x (N, C)."""
    rows = max(1, CHUNK // x.shape[1])
    run(_log_softmax_chunk, -(-x.shape[0] // rows), x.size * _COST, (rows, x, y))


@kernel
def _log_softmax_chunk(chunk, rows, x, y):
    first, last = chunk * rows, min((chunk + 1) * rows, x.shape[0])
    exponentials(x, first, last, y)
    for i in range(first, last):
        row, out = x[i], y[i]
        top, size = maximum(row), log(total(out))
        for c in range(row.size):
            out[c] = _plus_log(row[c], top, size)


@exact
def minus_log(x, top, log_mass):
    """-log softmax(x) of a row with maximum `top` and log(sum of exp(x - top)); top + log_mass would lose digits."""
    return log_mass - (x - top)


@exact
def _plus_log(x, top, log_mass):
    """log softmax(x). A minus sign before `minus_log` would join its terms, whose order only holds inside."""
    return (x - top) - log_mass


@kernel
def log_softmax_backward(y, dy, dx):
    """dx (N, C) = dy - exp(y) * sum of dy over the row, with y the output."""
    rows = max(1, CHUNK // y.shape[1])
    run(_log_softmax_backward_chunk, -(-y.shape[0] // rows), y.size * _COST, (rows, y, dy, dx))


@kernel
def _log_softmax_backward_chunk(chunk, rows, y, dy, dx):
    first, last = chunk * rows, min((chunk + 1) * rows, y.shape[0])
    p, out = y[first:last].reshape(-1), dx[first:last].reshape(-1)
    for i in range(p.size):
        out[i] = exp(p[i])
    for i in range(first, last):
        dp, dz = dy[i], dx[i]
        mass = total(dp)
        for c in range(dp.size):
            dz[c] = dp[c] - dz[c] * mass


@kernel
def dropout_forward(rate, key, x, y):
    """y = x / (1 - rate) where the key keeps the element, else 0; x and y (size,), maybe the same array.

    Element i is kept when its uniform number, a pure function of (key, i), is at least `rate`; 0 <= rate < 1.
    """
    run(_dropout_chunk, -(-x.size // CHUNK), x.size * 2, (rate, key, x, y))


@kernel
def dropout_backward(rate, key, dy, dx):
    """dx = dy / (1 - rate) where the key keeps the element, else 0: dropout is its own gradient."""
    run(_dropout_chunk, -(-dy.size // CHUNK), dy.size * 2, (rate, key, dy, dx))


@kernel
def _dropout_chunk(chunk, rate, key, x, y):
    for first in range(chunk * CHUNK, min((chunk + 1) * CHUNK, x.size), BLOCK):
        last = min(first + BLOCK, x.size)
        _drop_block(rate, np.uint64(key), np.uint64(first + 1), x[first:last], y[first:last])


@kernel
def _drop_block(rate, key, first, x, y):
    """Element i's number is 24 bits of splitmix64 (Steele, Lea, Flood 2014) after i + 1 steps."""
    result = stack_block(x)
    zero, factor = typed(x[0], 0.0), typed(x[0], 1.0 / (1.0 - rate))
    limit = np.uint64(math.ceil(rate * 16777216.0))  # u >= rate for u = bits / 2^24
    for i in range(x.size):
        z = key + (first + np.uint64(i)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        result[i] = x[i] * factor if (z >> np.uint64(40)) >= limit else zero
    for i in range(x.size):
        y[i] = result[i]
