"""The NumPy path of the convolution."""

import pytest
from checks import conv
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import reference


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", conv.CONV2D_EXAMPLES, ids=str)
def test_awkward_shapes(case, place):
    conv.check_conv2d(reference, case, place)


@given(conv.conv2d_cases())
def test_any_shape(case):
    conv.check_conv2d(reference, case)


@given(conv.conv2d_cases(channels=9))
def test_gradients(case):
    conv.check_conv2d_gradients(reference, case)
