"""Dense layers, with bias and without activation."""

import pytest

from .calls import dense_call
from .shapes import rows


@pytest.mark.benchmark(group="dense")
@rows("dense")
def test_dense(compare, operation, shape):
    call = dense_call(operation, shape)
    compare.calls(call, shape, shape.figures, multiply_adds=shape.multiply_adds)
