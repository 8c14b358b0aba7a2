"""Shares of right answers, on both backends."""

import pytest
from backends import BACKENDS
from checks import metric
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn._backend import operations


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", metric.METRIC_EXAMPLES, ids=str)
def test_awkward_shapes(backend, case, place):
    metric.check_accuracies(operations(backend), case, place)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=metric.metric_cases())
def test_any_shape(backend, case):
    metric.check_accuracies(operations(backend), case)
