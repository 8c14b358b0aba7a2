"""Shares of right answers, on both backends."""

import numpy as np
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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [10, 31, 32, 127, 300, 1000])
def test_the_first_largest_column_is_numpys(columns, dtype):
    """NaN counts as the largest; infinities, ties and the place of the column make no difference."""
    rng, ops, accuracy = np.random.default_rng(0), operations("numba"), np.empty(1)
    for values in ([0.0, 1.0], [1.0, np.nan], [np.nan], [-np.inf, np.inf], [np.inf, np.nan, 0.0], [0.0] * 200 + [1.0]):
        outputs = rng.choice(np.array(values, dtype), (4, columns))
        outputs[3] = 0
        outputs[3, rng.integers(columns)] = values[-1]
        for label in range(columns):
            labels = np.full(4, label)
            ops.class_accuracy(outputs, labels, accuracy)
            assert accuracy[0] == np.mean(outputs.argmax(axis=1) == labels)
        ops.one_hot_accuracy(outputs, outputs.copy(), accuracy)
        assert accuracy[0] == 1
