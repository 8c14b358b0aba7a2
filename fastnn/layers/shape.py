"""Layers that only change the shape. Their output is a view of the input."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn._typing import Array, Shape
from fastnn.layers._base import Layer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastnn._typing import Common


class Flatten(Layer):
    """x (N, ...) to y (N, C), C the product of the other axes; of an image's the channel moves fastest."""

    def output_shape(self, input_shape: Shape) -> Shape:
        return (prod(super().output_shape(input_shape)),)

    def _forward(self, x: Array) -> Array:
        return x.reshape(len(x), -1)

    def _backward(self, dy: Array) -> Array:
        assert self.inputs is not None
        return dy.reshape(self.inputs.shape)


class Reshape(Layer):
    """x (N, ...) to y (N, *shape). One axis of shape may be -1: it takes what is left."""

    def __init__(self, shape: Iterable[int], **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.shape = tuple(_checks.integer("Reshape", "shape", size, -1) for size in shape)
        if 0 in self.shape or self.shape.count(-1) > 1:
            raise ValueError(f"Reshape: shape must be of sizes > 0, at most one of them -1, got {self.shape}")

    def output_shape(self, input_shape: Shape) -> Shape:
        given = super().output_shape(input_shape)
        known = prod(size for size in self.shape if size > 0)
        left, over = divmod(prod(given), known)
        if over or (left != 1 and -1 not in self.shape):
            raise ValueError(f"Reshape: x must have samples that fit {self.shape}, got {given}")
        return tuple(left if size == -1 else size for size in self.shape)

    def _forward(self, x: Array) -> Array:
        return x.reshape(len(x), *self.output_shape(x.shape[1:]))

    def _backward(self, dy: Array) -> Array:
        assert self.inputs is not None
        return dy.reshape(self.inputs.shape)

    def _own_config(self) -> dict[str, Any]:
        return {"shape": list(self.shape)}
