"""Random arguments of the operations for the shapes of the table, all float32."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import kernels

from .pairs import Array, Call
from .shapes import Conv, Dense


def normal(*shape: int, seed: int = 0) -> Array:
    """Random numbers, the same for the same seed; arrays of one call take different ones."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def blank(*shape: int) -> Array:
    """An output that nobody has written yet."""
    return np.full(shape, np.nan, np.float32)


def scratch(size: int) -> Array:
    """The scratch array that the kernels ask for; the reference leaves it alone."""
    return np.zeros(size, np.float32)


def dense_call(operation: str, shape: Dense, bias: bool = True, operations: Any = kernels) -> Call:
    """One of the three products of a dense layer without activation."""
    n, c, k = shape.n, shape.c, shape.k
    b = normal(k if bias else 0, seed=3)
    wanted = scratch(operations.dense_scratch_size(n, c, k))
    if operation == "dense_forward":
        return Call(operation, normal(n, c), normal(c, k, seed=1), b, 0, 0.0, wanted, blank(n, k), scratch=5)
    if operation == "dense_weight_gradient":
        return Call(
            operation, normal(n, c), normal(n, k, seed=2), wanted, blank(c, k), blank(b.size), outputs=2, scratch=2
        )
    return Call(operation, normal(n, k, seed=2), normal(c, k, seed=1), blank(0, c), wanted, blank(n, c), scratch=3)


def pooled_call(operation: str, shape: Conv, inside: bool) -> Call | None:
    """A pass of a convolution with bias, 2x2 max pooling and ReLU; None where this CPU has none for the shape."""
    x, half, padding = (shape.n, shape.pixels, shape.pixels, shape.c), shape.outputs // 2, (shape.padding,) * 2
    w, y = (shape.size, shape.size, shape.c, shape.k), (shape.n, half, half, shape.k)
    index = np.random.default_rng(4).integers(0, 5, y).astype(np.uint16)
    index[index == 4] = 2**16 - 1  # cut off by ReLU
    size = kernels.conv2d_pool_scratch_size(x, w, y, 4, inside)
    if size <= 0:
        return None
    wanted = scratch(size)
    if operation == "conv2d_pool_forward":
        weights, biases = normal(*w, seed=1), normal(shape.k, seed=3)
        # The places are no result to compare: rounding decides between outputs that are nearly equal.
        return Call(operation, normal(*x), weights, biases, padding, True, wanted, index, blank(*y), scratch=5)
    dy = normal(*y, seed=2)
    if operation == "conv2d_pool_input_gradient":
        return Call(operation, index, dy, normal(*w, seed=1), padding, wanted, blank(*x), scratch=4)
    return Call(operation, normal(*x), index, dy, padding, wanted, blank(*w), blank(shape.k), outputs=2, scratch=4)


def pooled_inference_call(shape: Conv) -> Call:
    """A convolution with bias, 2x2 max pooling and ReLU of few images, its outputs alone."""
    x, half, padding = (shape.n, shape.pixels, shape.pixels, shape.c), shape.outputs // 2, (shape.padding,) * 2
    w, y = (shape.size, shape.size, shape.c, shape.k), (shape.n, half, half, shape.k)
    weights, biases = normal(*w, seed=1), normal(shape.k, seed=3)
    return Call("conv2d_pool_inference", normal(*x), weights, biases, padding, True, blank(*y))


def conv_call(operation: str, shape: Conv, operations: Any = kernels) -> Call:
    """One of the three passes of a convolution with bias, without activation."""
    x, dz = (shape.n, shape.pixels, shape.pixels, shape.c), (shape.n, shape.outputs, shape.outputs, shape.k)
    w = (shape.size, shape.size, shape.c // shape.groups, shape.k)
    geometry: tuple[Any, ...] = (
        (shape.stride, shape.stride), (shape.padding, shape.padding), (shape.dilation, shape.dilation), shape.groups,
    )  # fmt: skip
    wanted = scratch(operations.conv2d_scratch_size(x, w, dz, *geometry))
    if operation == "conv2d_forward":
        return Call(
            operation,
            normal(*x),
            normal(*w, seed=1),
            normal(shape.k, seed=3),
            *geometry,
            0,
            0.0,
            wanted,
            blank(*dz),
            scratch=9,
        )
    if operation == "conv2d_weight_gradient":
        return Call(
            operation,
            normal(*x),
            normal(*dz, seed=2),
            *geometry,
            wanted,
            blank(*w),
            blank(shape.k),
            outputs=2,
            scratch=6,
        )
    return Call(operation, normal(*dz, seed=2), normal(*w, seed=1), *geometry, wanted, blank(*x), scratch=6)
