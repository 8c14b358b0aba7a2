"""Mini-batches and the sum of a skip connection, on both backends."""

import pytest
from backends import BACKENDS
from checks import batch
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn._backend import operations

CHECKS = [batch.check_gather, batch.check_residual_add]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", batch.BATCH_EXAMPLES, ids=str)
@pytest.mark.parametrize("check", CHECKS)
def test_awkward_shapes(check, backend, case, place):
    check(operations(backend), case, place)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("check", CHECKS)
@given(case=batch.batch_cases())
def test_any_shape(check, backend, case):
    check(operations(backend), case)
