"""Activations, clipping, softmax and dropout beside a plain copy of the same arrays."""

import pytest

from fastnn.kernels import activation as codes

from .calls import blank, normal
from .pairs import Call
from .shapes import ACTIVATIONS, AS_COPY, ELEMENTS, FASTER, MEMORY_BOUND, rows

READ_OUTPUT = {"RELU", "LEAKY_RELU", "ELU", "SIGMOID", "TANH"}  # in the backward pass; the others read the input


@pytest.mark.benchmark(group="activations")
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("size", ELEMENTS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(compare, name, size, direction):
    code, values, nothing, dx = getattr(codes, name), normal(size), normal(0), blank(size)
    if direction == "forward":
        call = Call("activation_forward", code, 0.1, values, dx)
    else:
        x, y = (nothing, values) if name in READ_OUTPUT else (values, nothing)
        call = Call("activation_backward", code, 0.1, x, y, normal(size, seed=1), dx)
    figures = AS_COPY if name in MEMORY_BOUND else FASTER
    compare.calls(call, size, figures, label=f"{name.lower()} {direction}", copy=True)


@pytest.mark.benchmark(group="activations")
@rows("softmax_forward", "softmax_backward", "log_softmax")
def test_softmax(compare, operation, shape):
    inputs = [normal(shape.n, shape.c, seed=seed) for seed in range(1 if operation.endswith("forward") else 2)]
    call = Call(operation, *inputs, blank(shape.n, shape.c))
    compare.calls(call, shape, FASTER, copy=True)


@pytest.mark.benchmark(group="activations")
@rows("clip_forward", "clip_backward")
def test_clip(compare, operation, shape):
    inputs = [normal(shape, seed=seed) for seed in range(1 if operation.endswith("forward") else 2)]
    compare.calls(Call(operation, -0.5, 1.0, *inputs, blank(shape)), shape, AS_COPY, copy=True)


@pytest.mark.benchmark(group="activations")
@rows("dropout")
def test_dropout(compare, operation, shape):
    compare.calls(Call(operation, 0.5, 1234, normal(shape), blank(shape)), shape, FASTER, copy=True)
