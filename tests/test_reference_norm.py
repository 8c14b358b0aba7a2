"""The NumPy path of batch normalisation."""

import pytest
from checks import norm
from checks.common import FLOATS
from hypothesis import given

from fastnn import reference


@pytest.mark.parametrize("case", norm.NORM_EXAMPLES, ids=str)
def test_awkward_shapes(case):
    norm.check_batch_norm(reference, case)
    norm.check_batch_norm_follow(reference, case)


@given(norm.norm_cases())
def test_any_shape(case):
    norm.check_batch_norm(reference, case)


@given(norm.norm_cases())
def test_gradients(case):
    norm.check_batch_norm_gradients(reference, case)


@pytest.mark.parametrize("dtype", FLOATS)
def test_far_from_zero(dtype):
    norm.check_batch_norm_is_stable(reference, dtype)
