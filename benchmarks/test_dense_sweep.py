"""Square matrix products of all sizes, odd ones included: nowhere slower than BLAS."""

import pytest

from .calls import dense_call
from .pairs import SWEEP
from .shapes import SQUARES

LARGEST_ONCE = 1025  # sizes above are left out where nothing is measured


@pytest.mark.benchmark(group="dense, square")
@pytest.mark.parametrize("operation", ["dense_forward", "dense_weight_gradient", "dense_input_gradient"])
@pytest.mark.parametrize("shape", SQUARES, ids=str)
def test_dense_square(compare, operation, shape):
    if compare.once and shape.n > LARGEST_ONCE:
        pytest.skip("only measured, never run just once: takes long")
    call = dense_call(operation, shape, bias=False)
    compare.calls(call, shape, shape.figures, multiply_adds=shape.multiply_adds, effort=SWEEP)
