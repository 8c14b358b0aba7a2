"""The vector functions: accuracy in units in the last place over all exponents, special values, and real vectors."""

import math

import numpy as np
import pytest
from numba.core.compiler_lock import global_compiler_lock

from fastnn.kernels import _math
from fastnn.kernels._jit import kernel

DTYPES = [np.float32, np.float64]
# NumPy's long double is the reference where it is longer than float64; else float64's own error is allowed for.
SLACK = 0.01 if np.finfo(np.longdouble).eps < 1e-18 else 1.0


@kernel
def _exp(x, y):
    for i in range(x.size):
        y[i] = _math.exp(x[i])


@kernel
def _expm1(x, y):
    for i in range(x.size):
        y[i] = _math.expm1(x[i])


@kernel
def _log(x, y):
    for i in range(x.size):
        y[i] = _math.log(x[i])


@kernel
def _log1p_unit(x, y):
    for i in range(x.size):
        y[i] = _math.log1p_unit(x[i])


@kernel
def _sigmoid(x, y):
    for i in range(x.size):
        y[i] = _math.sigmoid(x[i])


@kernel
def _tanh(x, y):
    for i in range(x.size):
        y[i] = _math.tanh(x[i])


@kernel
def _normal(x, y):
    for i in range(x.size):
        y[i] = _math.normal(x[i])[0]


def _true_sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _everything(dtype):
    """Numbers of both signs and every exponent, the range where exp is finite, and the special values."""
    rng = np.random.default_rng(0)
    limits = np.finfo(dtype)
    exponents = np.arange(limits.minexp - limits.nmant, limits.maxexp)
    scaled = np.ldexp(rng.uniform(1, 2, (50, exponents.size)), exponents).ravel()
    scaled = scaled.astype(dtype) * rng.choice(np.array([-1, 1], dtype), scaled.size)
    top = math.log(limits.max)
    ordinary = np.concatenate([rng.uniform(-1.2 * top, 1.05 * top, 100_000), rng.standard_normal(100_000)])
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, limits.max, limits.min, limits.tiny, limits.smallest_subnormal]
    return np.concatenate([scaled, ordinary.astype(dtype), np.array(special, dtype)])


def _units(function, x, expected):
    """The largest error of function(x) in units in the last place; what is not finite must be equal."""
    y = np.empty_like(x)
    function(x, y)
    with np.errstate(over="ignore"):
        rounded = expected.astype(x.dtype)
        finite = np.isfinite(rounded) & np.isfinite(y)
        # A value just below the largest number may round to infinity.
        np.testing.assert_array_equal(y[~finite], rounded[~finite])
    unit = np.spacing(np.maximum(np.abs(rounded[finite]), np.finfo(x.dtype).tiny)).astype(np.longdouble)
    return float(np.max(np.abs(y[finite].astype(np.longdouble) - expected[finite]) / unit))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("function", "true", "bound"),
    [(_exp, np.exp, 1.5), (_sigmoid, _true_sigmoid, 2.5), (_tanh, np.tanh, 3.0)],
    ids=["exp", "sigmoid", "tanh"],
)
def test_whole_line(function, true, bound, dtype):
    x = _everything(dtype)
    with np.errstate(over="ignore", under="ignore"):
        expected = true(x.astype(np.longdouble))
    assert _units(function, x, expected) <= bound + SLACK


@pytest.mark.parametrize("dtype", DTYPES)
def test_expm1_below_zero(dtype):
    x = -np.abs(_everything(dtype))
    assert _units(_expm1, x, np.expm1(x.astype(np.longdouble))) <= 1.5 + SLACK


@pytest.mark.parametrize("dtype", DTYPES)
def test_log(dtype):
    near_one = (1 + 1e-2 * np.random.default_rng(1).standard_normal(100_000)).astype(dtype)
    x = np.concatenate([_everything(dtype), near_one])
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.log(x.astype(np.longdouble))
    assert _units(_log, x, expected) <= 1.5 + SLACK


@pytest.mark.parametrize("dtype", DTYPES)
def test_log1p_of_zero_to_one(dtype):
    x = np.abs(_everything(dtype))
    x = np.concatenate([x[x <= 1], np.linspace(0, 1, 100_001, dtype=dtype), np.array([np.nan], dtype)])
    assert _units(_log1p_unit, x, np.log1p(x.astype(np.longdouble))) <= 1.5 + SLACK


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_distribution(dtype):
    x = np.concatenate([np.linspace(-12, 12, 20_001), _everything(dtype)[:20_000:7]]).astype(dtype)
    expected = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
    y = np.empty_like(x)
    _normal(x, y)
    # -v / sqrt(2) is rounded too, which costs the reference x^2 units.
    allowed = np.where(x < 0, 8 + 4 * x.clip(-100, 0) ** 2, 4)
    unit = np.spacing(np.maximum(expected, 1e-30).astype(dtype))
    np.testing.assert_array_less(np.abs(y - expected), (allowed + 1) * unit)
    special = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30], dtype)
    y = np.empty_like(special)
    _normal(special, y)
    np.testing.assert_array_equal(y, [1, 0, np.nan, 1, 0])


def _code(function, x):
    """The LLVM code of a task, which all loops over data are; operations are compiled without the vectoriser."""
    arguments = function.typeof_pyval(x), function.typeof_pyval(x)
    with global_compiler_lock:
        return function._task_compiler.compile(arguments, None).library.get_llvm_str()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [_exp, _expm1, _log, _log1p_unit, _sigmoid, _tanh, _normal])
def test_loops_become_vectors_of_the_right_type(function, dtype):
    code = _code(function, np.full(100, 0.5, dtype))
    element, other = ("float", "double") if dtype == np.float32 else ("double", "float")
    assert f" x {element}>" in code
    assert f" x {other}>" not in code


def test_a_scalar_loop_is_not_taken_for_vectors():
    @kernel
    def serial(x, y):
        for i in range(1, x.size):
            y[i] = _math.exp(y[i - 1] * x[i])

    assert " x float>" not in _code(serial, np.full(100, 0.5, np.float32))
