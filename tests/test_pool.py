"""Pooling kernels: the oracle on awkward and random shapes, the NumPy path on large ones, and any thread count."""

import numpy as np
import pytest
import threads
from checks import pool
from checks.common import FLOATS, blank, close, run
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import kernels, reference

LARGE = [((5, 28, 28, 32), 2, 2, 0), ((3, 29, 30, 17), 3, 2, 1), ((2, 64, 64, 3), 2, 2, 0), ((1, 33, 40, 70), 3, 1, 1)]


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", pool.POOL_EXAMPLES, ids=str)
@pytest.mark.parametrize("check", [pool.check_max_pool2d, pool.check_avg_pool2d, pool.check_global_avg_pool2d])
def test_awkward_shapes(check, case, place):
    check(kernels, case, place)


@given(pool.pool_cases())
def test_any_max_pool2d(case):
    pool.check_max_pool2d(kernels, case)


@given(pool.pool_cases())
def test_any_average(case):
    pool.check_avg_pool2d(kernels, case)
    pool.check_global_avg_pool2d(kernels, case)


@given(pool.pool_cases(channels=5))
def test_gradients(case):
    pool.check_pool2d_gradients(kernels, case)


def _all(ops, shape, size, stride, padding, dtype):
    """The outputs of all operations on one image batch."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(dtype)
    n, h, w, c = shape
    p, q = ((length + 2 * padding - size) // stride + 1 for length in (h, w))
    window = ((size, size), (stride, stride), (padding, padding))
    dy, dmean = rng.standard_normal((n, p, q, c)).astype(dtype), rng.standard_normal((n, c)).astype(dtype)
    y, dx, mean = blank(dy.shape, dtype), blank(shape, dtype), blank(dmean.shape, dtype)
    index, largest = run(ops.max_pool2d_forward, x, *window, blank(dy.shape, np.uint16), y, outputs=2)
    return [
        index,
        largest,
        *run(ops.max_pool2d_backward, index, dy, *window, dx),
        *run(ops.avg_pool2d_forward, x, *window, True, y),
        *run(ops.avg_pool2d_backward, dy, *window, False, dx),
        *run(ops.global_avg_pool2d_forward, x, mean),
        *run(ops.global_avg_pool2d_backward, dmean, dx),
    ]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_many_chunks_equal_the_reference(case, dtype):
    for actual, expected in zip(_all(kernels, *case, dtype), _all(reference, *case, dtype), strict=True):
        close(actual, expected, terms=10)


def threaded_outputs():
    return [array for case in LARGE for array in _all(kernels, *case, "float32")]


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_pool"))) == 1
