"""The NumPy path of the optimizers."""

import pytest
from checks import optim
from hypothesis import given

from fastnn import reference


@pytest.mark.parametrize("case", optim.OPTIMIZER_EXAMPLES, ids=str)
def test_awkward_cases(case):
    optim.check_optimizers(reference, case)
    optim.check_gradient_passes(reference, case)


@given(optim.optimizer_cases())
def test_any_case(case):
    optim.check_optimizers(reference, case)
    optim.check_gradient_passes(reference, case)
