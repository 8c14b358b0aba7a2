"""The compiled convolution."""

import pytest
from checks import conv
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import kernels


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", conv.CONV2D_EXAMPLES, ids=str)
def test_awkward_shapes(case, place):
    conv.check_conv2d(kernels, case, place)


@given(conv.conv2d_cases())
def test_any_shape(case):
    conv.check_conv2d(kernels, case)


@given(conv.conv2d_cases(channels=9))
def test_gradients(case):
    conv.check_conv2d_gradients(kernels, case)


@pytest.mark.parametrize(
    "case",
    [
        conv.Conv2DCase(17, (9, 9), 3, 70, (3, 3), padding=(1, 1), after=(1, 1)),  # several images in a part
        conv.Conv2DCase(9, (6, 16), 2, 130, (3, 3), padding=(1, 1), after=(1, 1), stride=(2, 2)),  # several blocks
        conv.Conv2DCase(1, (40, 20), 11, 12, (5, 5), padding=(2, 2), after=(2, 2)),  # several bands, joined rows
        conv.Conv2DCase(3, (20, 33), 40, 40, (3, 3), groups=40, padding=(1, 1), after=(1, 1)),
    ],
    ids=str,
)
def test_shapes_that_are_cut_into_more_pieces(case):
    conv.check_conv2d(kernels, case)
