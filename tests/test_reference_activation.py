"""The NumPy path of activations, clipping, softmax and dropout."""

import math

import numpy as np
import pytest
from checks import activation
from checks.common import FLOATS
from hypothesis import given

from fastnn import reference
from fastnn.reference._special import erfc


@pytest.mark.parametrize("case", activation.ACTIVATION_EXAMPLES, ids=str)
def test_activations(case):
    activation.check_activation(reference, case)


@given(activation.activation_cases())
def test_any_activation(case):
    activation.check_activation(reference, case)


@given(activation.activation_cases())
def test_activation_gradients(case):
    activation.check_activation_gradient(reference, case)


@given(activation.activation_cases())
def test_any_clip(case):
    activation.check_clip(reference, case)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("code", activation.ACTIVATIONS)
def test_nan_passes_through(code, dtype):
    activation.check_activation_passes_nan(reference, code, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_erfc_to_a_few_units_of_the_last_place(dtype):
    x = np.concatenate([np.linspace(-7, 30, 20_001), [0.46875, 4, -0.0, 1e-30, 1e30, -1e30]]).astype(dtype)
    expected = np.array([math.erfc(value) for value in x.tolist()])
    limits = np.finfo(dtype)
    np.testing.assert_allclose(erfc(x), expected, rtol=8 * limits.eps, atol=limits.tiny)
    assert erfc(np.array([np.inf, -np.inf], dtype)).tolist() == [0, 2]


@pytest.mark.parametrize("case", activation.SOFTMAX_EXAMPLES, ids=str)
def test_softmax(case):
    activation.check_softmax(reference, case)


@given(activation.softmax_cases())
def test_any_softmax(case):
    activation.check_softmax(reference, case)


@given(activation.softmax_cases())
def test_softmax_gradients(case):
    activation.check_softmax_gradients(reference, case)


@pytest.mark.parametrize("case", activation.DROPOUT_EXAMPLES, ids=str)
def test_dropout(case):
    activation.check_dropout(reference, case)


@given(activation.dropout_cases())
def test_any_dropout(case):
    activation.check_dropout(reference, case)


@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout_keeps_its_share(dtype):
    activation.check_dropout_keeps_its_share(reference, dtype)
