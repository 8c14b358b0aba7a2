"""The compiled convolution."""

import pytest
import threads
from checks import conv
from checks.common import blank
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


def _gradients(case, more=0):
    x, w, b, dz = case.arrays()
    y, dw, db, dx = (blank(a.shape, case.dtype) for a in (dz, w, b, x))
    scratch = blank(case.scratch(kernels).size + more, case.dtype)
    kernels.conv2d_forward(x, w, b, *case.geometry, 1, 0.0, scratch, y)
    kernels.conv2d_weight_gradient(x, dz, *case.geometry, scratch, dw, db)
    kernels.conv2d_input_gradient(dz, w, *case.geometry, scratch, dx)
    return y, dw, db, dx


def threaded_outputs():
    same = {"padding": (1, 1), "after": (1, 1)}
    yield from _gradients(conv.Conv2DCase(19, (14, 14), 32, 64, (3, 3), **same))
    yield from _gradients(conv.Conv2DCase(2, (30, 40), 3, 20, (3, 3), stride=(2, 1), **same))
    yield from _gradients(conv.Conv2DCase(5, (20, 20), 48, 48, (3, 3), groups=48, **same))


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_conv"))) == 1


def test_scratch_may_be_larger_than_asked_for():
    """Layers of one model share one scratch array."""
    case = conv.Conv2DCase(9, (6, 6), 5, 7, (3, 3), padding=(1, 1), after=(1, 1))
    for exact, roomy in zip(_gradients(case), _gradients(case, more=1000), strict=True):
        assert exact.tobytes() == roomy.tobytes()
