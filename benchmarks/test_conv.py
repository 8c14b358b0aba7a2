"""Convolutions, with bias and without activation."""

from dataclasses import replace

import pytest

from .calls import conv_call, pooled_call, pooled_inference_call
from .shapes import (
    FASTER,
    GROUPED,
    NARROW,
    NARROW_FIGURES,
    POOLED,
    POOLED_FEW,
    POOLED_INSIDE,
    WIDE,
    WIDE_FIGURES,
)

OPERATIONS = ["conv2d_forward", "conv2d_input_gradient", "conv2d_weight_gradient"]


def measure(compare, operation, shape, figures):
    shape = shape.small() if compare.once else shape
    compare.calls(conv_call(operation, shape), shape, figures, multiply_adds=shape.multiply_adds)


@pytest.mark.benchmark(group="conv")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("shape", WIDE, ids=str)
def test_conv_wide(compare, operation, shape):
    measure(compare, operation, shape, WIDE_FIGURES[operation])


@pytest.mark.benchmark(group="conv, narrow")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("shape", NARROW, ids=str)
def test_conv_narrow(compare, operation, shape):
    measure(compare, operation, shape, NARROW_FIGURES)


@pytest.mark.benchmark(group="conv, groups and dilation")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("shape", GROUPED, ids=str)
def test_conv_grouped(compare, operation, shape):
    measure(compare, operation, shape, FASTER)


def measure_pooled(compare, operation, shape, inside):
    shape = replace(shape, n=16) if compare.once else shape
    call = pooled_call(operation, shape, inside)
    if call is None:
        pytest.skip("this CPU has no such operation for the shape")
    compare.calls(call, shape, NARROW_FIGURES, multiply_adds=shape.multiply_adds)


@pytest.mark.benchmark(group="conv, with pooling")
@pytest.mark.parametrize("operation", ["conv2d_pool_forward", "conv2d_pool_weight_gradient"])
@pytest.mark.parametrize("shape", POOLED, ids=str)
def test_conv_pooled(compare, operation, shape):
    measure_pooled(compare, operation, shape, inside=False)


@pytest.mark.benchmark(group="conv, with pooling, few images")
@pytest.mark.parametrize("shape", POOLED_FEW, ids=str)
def test_conv_pooled_few(compare, shape):
    compare.calls(pooled_inference_call(shape), shape, NARROW_FIGURES, multiply_adds=shape.multiply_adds)


@pytest.mark.benchmark(group="conv, with pooling, inside")
@pytest.mark.parametrize("operation", [name.replace("conv2d", "conv2d_pool") for name in OPERATIONS])
@pytest.mark.parametrize("shape", POOLED_INSIDE, ids=str)
def test_conv_pooled_inside(compare, operation, shape):
    measure_pooled(compare, operation, shape, inside=True)
