"""The NumPy path of convolution with pooling."""

import pytest
from checks import pooled
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import reference


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", pooled.POOLED_EXAMPLES, ids=str)
def test_awkward_shapes(case, place):
    pooled.check_pooled(reference, case, place)


@pytest.mark.parametrize("case", pooled.WINOGRAD_EXAMPLES[:3], ids=str)
def test_places_of_layers_further_in(case):
    pooled.check_inner(reference, case)


@pytest.mark.parametrize("case", pooled.FEW_EXAMPLES, ids=str)
def test_outputs_alone(case):
    pooled.check_pooled_inference(reference, case)


@given(pooled.pooled_cases())
def test_any_shape(case):
    pooled.check_pooled(reference, case)
