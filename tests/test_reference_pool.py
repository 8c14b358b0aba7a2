"""The NumPy path of pooling."""

import pytest
from checks import pool
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import reference


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", pool.POOL_EXAMPLES, ids=str)
@pytest.mark.parametrize(
    "check", [pool.check_max_pool2d, pool.check_avg_pool2d, pool.check_global_avg_pool2d]
)
def test_awkward_shapes(check, case, place):
    check(reference, case, place)


@given(pool.pool_cases())
def test_any_max_pool2d(case):
    pool.check_max_pool2d(reference, case)


@given(pool.pool_cases())
def test_any_average(case):
    pool.check_avg_pool2d(reference, case)
    pool.check_global_avg_pool2d(reference, case)


@given(pool.pool_cases(channels=5))
def test_gradients(case):
    pool.check_pool2d_gradients(reference, case)
