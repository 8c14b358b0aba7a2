"""Products of bf16 beside those of float32, with bias and without activation.

The figure is for those that are products of bf16: where copies do not pay, the operation is float32's own.
"""

import pytest

from fastnn.kernels import _simd, bf16

from .calls import conv_call, dense_call
from .shapes import BF16_CONV, BF16_DENSE, BF16_FIGURES, Figures

PASSES = ["forward", "input_gradient", "weight_gradient"]
pytestmark = [
    pytest.mark.benchmark(group="bf16"),
    pytest.mark.skipif(not _simd.HAS_BF16, reason="this CPU has no products of bf16"),
]


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("shape", BF16_DENSE, ids=str)
def test_dense(compare, name, shape):
    figures = BF16_FIGURES if bf16.dense_pays.py_func(shape.n, shape.c, shape.k) else Figures()
    compare.beside_full(dense_call(f"dense_{name}", shape, operations=bf16), bf16, shape, figures)


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("shape", BF16_CONV, ids=str)
def test_conv(compare, name, shape):
    shape = shape.small() if compare.once else shape
    y, w = (shape.n, shape.outputs, shape.outputs, shape.k), (shape.size, shape.size, shape.c, shape.k)
    figures = BF16_FIGURES if bf16.conv_pays.py_func(y, w, (shape.stride,) * 2, (1, 1), 1) else Figures()
    compare.beside_full(conv_call(f"conv2d_{name}", shape, bf16), bf16, shape, figures)
