"""The NumPy path of the losses."""

import pytest
from checks import loss
from hypothesis import given

from fastnn import reference


@pytest.mark.parametrize("case", loss.CROSS_ENTROPY_EXAMPLES, ids=str)
def test_cross_entropy(case):
    loss.check_softmax_cross_entropy(reference, case)
    loss.check_soft_cross_entropy(reference, case)
    loss.check_one_hot_cross_entropy(reference, case)


@given(loss.cross_entropy_cases())
def test_any_cross_entropy(case):
    loss.check_softmax_cross_entropy(reference, case)
    loss.check_soft_cross_entropy(reference, case)
    loss.check_one_hot_cross_entropy(reference, case)


@given(loss.cross_entropy_cases())
def test_cross_entropy_gradient(case):
    loss.check_softmax_cross_entropy_gradient(reference, case)


@pytest.mark.parametrize("case", loss.ELEMENT_LOSS_EXAMPLES, ids=str)
def test_element_losses(case):
    loss.check_element_losses(reference, case)
    loss.check_total_loss(reference, case)


@given(loss.element_loss_cases())
def test_any_element_losses(case):
    loss.check_element_losses(reference, case)


@given(loss.element_loss_cases())
def test_element_loss_gradients(case):
    loss.check_element_loss_gradients(reference, case)
