"""Functions that NumPy lacks: the complementary error function, and a sigmoid that never overflows."""

import math

import numpy as np

from ._arrays import Array

# W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969) 631-637:
# numerator and denominator of erf(x) / x in x^2 for x < 0.46875, of exp(x^2) erfc(x) in x up to 4, and of
# (1 / sqrt(pi) - x exp(x^2) erfc(x)) x^2 in 1 / x^2 beyond 4. Highest power first.
_NEAR = (
    (
        1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_MIDDLE = (
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip
_FAR = (
    (
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
        1.60837851487422766e-2, 6.58749161529837803e-4,
    ),
    (
        1.0, 2.56852019228982242, 1.87295284992346047, 5.27905102951428412e-1, 6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)  # fmt: skip
_NEAR_END = 0.46875
_END = 28.0  # erfc is 0 in float64 before it


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), elementwise, from the exponential of -|x|, which cannot overflow."""
    e = np.exp(-np.abs(x))
    result: Array = np.where(x >= 0, 1, e) / (1 + e)
    return result


def erfc(x: Array) -> Array:
    """The complementary error function, elementwise, in x's dtype: within a few units of its last place."""
    size = np.minimum(np.abs(x), _END)
    tail = np.where(size > 4, _far(np.maximum(size, 4)), _ratio(_MIDDLE, np.minimum(size, 4)))
    # exp(-x^2) from a square that is exact (x cut to 1/16) and a small rest: x^2 rounded would cost x^2 ulp
    cut = np.trunc(size * 16) * 0.0625
    tail *= np.exp(-cut * cut) * np.exp(-(size - cut) * (size + cut))
    near = np.minimum(size, _NEAR_END)
    middle = 1 - np.copysign(near, x) * _ratio(_NEAR, near * near)
    return np.where(size <= _NEAR_END, middle, np.where(x < 0, 2 - tail, tail))


def _far(x: Array) -> Array:
    inverse: Array = 1 / (x * x)
    tail: Array = (1 / math.sqrt(math.pi) - inverse * _ratio(_FAR, inverse)) / x
    return tail


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    numerator, denominator = coefficients
    return _polynomial(numerator, x) / _polynomial(denominator, x)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result *= x
        result += coefficient
    return result
