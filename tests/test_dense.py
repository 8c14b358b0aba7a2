"""The compiled dense products."""

import pytest
from checks import dense
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import kernels


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", dense.DENSE_EXAMPLES, ids=str)
def test_awkward_shapes(case, place):
    dense.check_dense(kernels, case, place)


@given(dense.dense_cases())
def test_any_shape(case):
    dense.check_dense(kernels, case)


@given(dense.dense_cases(largest=9))
def test_gradients(case):
    dense.check_dense_gradients(kernels, case)


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("n", "c", "k"),
    [
        (130, 300, 520),  # packed blocks, two of them deep
        (300, 70, 513),  # two blocks of rows, one column over
        (129, 64, 65),  # transposed panels in the input gradient
        (127, 65, 300),  # flipped product, two blocks deep
        (1025, 9, 33),  # the weight gradient in parts
    ],
)
def test_blocked_shapes(n, c, k, dtype, place):
    dense.check_dense(kernels, dense.DenseCase(n, c, k, activation=1, dtype=dtype), place)
