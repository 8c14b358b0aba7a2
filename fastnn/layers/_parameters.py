"""Parameters of a layer: named views of one flat array, and the attributes that read and assign them."""

from __future__ import annotations

from math import prod
from typing import Any, overload

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, ArrayLike, Seed, Shape
from fastnn.layers._buffers import aligned


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


class Parameterised:
    """What has parameters: flat arrays of them and of their gradients, made once their shapes are known."""

    parameter_names: tuple[str, ...] = ()
    state_names: tuple[str, ...] = ()
    dtype: np.dtype[Any]
    seed: Seed

    def __init__(self) -> None:
        self._flat: Flat | None = None
        self._states: dict[str, Array] = {}

    @property
    def parameters(self) -> Array:
        """All parameters as one flat array, in the order of `parameter_names`."""
        return self._made().parameters

    @property
    def gradients(self) -> Array:
        """All parameter gradients as one flat array; zeros before the first backward, overwritten by each."""
        return self._made().gradients

    @property
    def parameter_slices(self) -> tuple[slice, ...]:
        """Place of each array of `parameter_names` in `parameters`."""
        return self._made().slices()

    @property
    def parameter_count(self) -> int:
        """Number of trained numbers; 0 while their shapes are not known yet."""
        return self._made().size if self._is_known() else 0

    def named_parameters(self) -> dict[str, Array]:
        """Name -> view of the parameter."""
        return {name: self._array(name) for name in self.parameter_names}

    def named_states(self) -> dict[str, Array]:
        """Name -> array that a checkpoint keeps but no optimizer touches, such as running statistics."""
        return {name: self._array(name) for name in self.state_names}

    def bind(self, parameters: Array, gradients: Array) -> None:
        """Move parameters and gradients into flat arrays of the caller, such as a model; values are kept."""
        self._made().bind(parameters, gradients)

    # For the layers themselves

    def _shapes(self) -> dict[str, Shape]:
        return {}

    def _kept_shapes(self) -> dict[str, Shape]:
        """Shapes of the arrays of a model file that decide how much memory the layer takes."""
        return self._shapes()

    def _is_known(self) -> bool:
        """Whether the parameters' shapes are known."""
        return True

    def _initialise(self, rng: np.random.Generator) -> None:
        """Fill new parameters, which are zeros, and make the states."""

    def _make(self) -> None:
        self._flat = Flat(self._shapes(), self.dtype)
        self._initialise(np.random.default_rng(self.seed))

    def _made(self) -> Flat:
        if self._flat is None:
            if not self._is_known():
                raise RuntimeError(
                    f"{type(self).__name__}: parameters need the input's shape: "
                    "call forward or build(input_shape) first"
                )
            self._make()
        assert self._flat is not None
        return self._flat

    def _cast(self) -> None:
        old = self._made()
        self._flat = Flat(old.shapes, self.dtype)
        self._flat.parameters[:] = old.parameters
        self._flat.gradients[:] = old.gradients
        self._states = {name: state.astype(self.dtype) for name, state in self._states.items()}

    def _array(self, name: str) -> Array:
        views = self._made().views
        found = views.get(name, self._states.get(name))
        if found is None:
            raise AttributeError(f"{type(self).__name__}: has no {name}")
        return found


class Parameter:
    """Attribute that reads a view of the flat array, and copies what is assigned into it (shape-checked).

    So the optimizer, the model and a script that assigns `layer.weights = w` always see the same memory.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, layer: None, owner: type) -> Parameter: ...
    @overload
    def __get__(self, layer: Parameterised, owner: type) -> Array: ...
    def __get__(self, layer: Parameterised | None, owner: type) -> Parameter | Array:
        return self if layer is None else layer._array(self.name)

    def __set__(self, layer: Parameterised, value: ArrayLike) -> None:
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
