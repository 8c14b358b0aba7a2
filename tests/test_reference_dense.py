"""The NumPy path of the dense layer."""

import pytest
from checks import dense
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import reference


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", dense.DENSE_EXAMPLES, ids=str)
def test_awkward_shapes(case, place):
    dense.check_dense(reference, case, place)


@given(dense.dense_cases())
def test_any_shape(case):
    dense.check_dense(reference, case)


@given(dense.dense_cases())
def test_gradients(case):
    dense.check_dense_gradients(reference, case)
