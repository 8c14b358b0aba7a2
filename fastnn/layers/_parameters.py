"""Parameters of a layer: named views of one flat array, and the attributes that read and assign them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, ArrayLike, Shape
from fastnn.layers._buffers import aligned

if TYPE_CHECKING:
    from fastnn.layers._base import Layer


class Flat:
    """Parameters and gradients of a layer: two flat arrays of one length, and a view of each for every name.

    shapes: name -> shape in memory order. A gradient's name is "d" + the parameter's.
    """

    def __init__(self, shapes: dict[str, Shape], dtype: np.dtype[Any]) -> None:
        self.shapes = shapes
        self.size = sum(prod(shape) for shape in shapes.values())
        self.parameters = aligned(self.size, dtype)
        self.gradients = aligned(self.size, dtype)
        self.parameters[:] = 0
        self.gradients[:] = 0
        self._cut()

    def __getstate__(self) -> dict[str, Any]:
        return {"shapes": self.shapes, "parameters": self.parameters, "gradients": self.gradients}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.size = self.parameters.size
        self._cut()

    def slices(self) -> tuple[slice, ...]:
        """Place of every array in the flat ones."""
        stops = np.cumsum([prod(shape) for shape in self.shapes.values()]).tolist()
        return tuple(slice(start, stop) for start, stop in zip([0, *stops], stops, strict=False))

    def bind(self, parameters: Array, gradients: Array) -> None:
        """Continue in the given flat arrays, which receive the present values."""
        parameters[:] = self.parameters
        gradients[:] = self.gradients
        self.parameters, self.gradients = parameters, gradients
        self._cut()

    def _cut(self) -> None:
        self.views: dict[str, Array] = {}
        for (name, shape), place in zip(self.shapes.items(), self.slices(), strict=True):
            self.views[name] = self.parameters[place].reshape(shape)
            self.views["d" + name] = self.gradients[place].reshape(shape)


class Parameter:
    """Attribute that reads a view of the flat array, and copies what is assigned into it (shape-checked).

    So the optimizer, the model and a script that assigns `layer.weights = w` always see the same memory.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, layer: None, owner: type) -> Parameter: ...
    @overload
    def __get__(self, layer: Layer, owner: type) -> Array: ...
    def __get__(self, layer: Layer | None, owner: type) -> Parameter | Array:
        return self if layer is None else layer._array(self.name)

    def __set__(self, layer: Layer, value: ArrayLike) -> None:
        target = layer._array(self.name)
        assign(type(layer).__name__, self.name, target, value)


def assign(owner: str, name: str, target: Array, value: ArrayLike) -> None:
    """Copy value into target; a vector also takes a row (1, n). Raises ValueError for any other shape."""
    if value is target:  # layer.weights -= ... has changed the view itself already
        return
    found = _checks.numeric(owner, name, value)
    if target.ndim == 1 and found.shape == (1, *target.shape):
        found = found[0]
    if found.shape != target.shape:
        raise ValueError(f"{owner}: {name} must have shape {target.shape}, got {found.shape}")
    target[...] = found
