"""Products of bf16 beside those of float32, with bias and without activation."""

import pytest

from fastnn.kernels import _simd, bf16

from .calls import conv_call, dense_call
from .shapes import BF16_CONV, BF16_DENSE, BF16_FIGURES

PASSES = ["forward", "input_gradient", "weight_gradient"]
pytestmark = [
    pytest.mark.benchmark(group="bf16"),
    pytest.mark.skipif(not _simd.HAS_BF16, reason="this CPU has no products of bf16"),
]


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("shape", BF16_DENSE, ids=str)
def test_dense(compare, name, shape):
    compare.beside_full(dense_call(f"dense_{name}", shape, operations=bf16), bf16, shape, BF16_FIGURES)


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("shape", BF16_CONV, ids=str)
def test_conv(compare, name, shape):
    shape = shape.small() if compare.once else shape
    compare.beside_full(conv_call(f"conv2d_{name}", shape, bf16), bf16, shape, BF16_FIGURES)
