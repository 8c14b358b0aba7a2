"""The layers of a model that hold weights, in order, and their arrays in PyTorch's layout and in NumPy scripts'.

PyTorch: images are (C, H, W), dense weights (out, in), convolution weights (K, C/groups, R, S). A module's name
is its place in the `nn.Sequential` of the same layers, where an activation within a layer comes after it as a
module of its own, and a Residual is an `nn.Sequential` that adds its input. NumPy: the arrays as they are here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from fastnn import layers
from fastnn._typing import Array, Shape
from fastnn.errors import CheckpointError
from fastnn.formats.names import ROLES, Module
from fastnn.model import Sequential

OWNER = "export_model"
_NORM = dict(zip(ROLES, ("gamma", "beta", "running_mean", "running_var"), strict=True))
_LINEAR = {"weight": "weights", "bias": "biases"}


@dataclass(frozen=True)
class Unit:
    """A layer with weights. place: its name here, such as "3.0"; module: in PyTorch.

    image: (..., C) where the layer's values are those of an image that was flattened: PyTorch's order differs.
    """

    layer: layers.Layer
    place: str
    module: str
    image: Shape | None

    @property
    def norm(self) -> bool:
        """Whether it is a batch norm."""
        return isinstance(self.layer, layers.BatchNorm)

    def arrays(self) -> dict[str, Array]:
        """Role -> the array itself."""
        own = {**self.layer.named_parameters(), **self.layer.named_states()}
        return {role: own[name] for role, name in (_NORM if self.norm else _LINEAR).items() if name in own}

    def to_pytorch(self, role: str, array: Array) -> Array:
        """An array of this layer in PyTorch's layout."""
        if array.ndim == 4:
            return array.transpose(3, 2, 0, 1)
        if self.image is not None and self._runs_over_the_image(role):
            array = _swapped(array, prod(self.image[:-1]), self.image[-1])
        return array.T

    def from_pytorch(self, role: str, array: Array) -> Array:
        """An array of PyTorch's in the layout of this layer."""
        return array.transpose(2, 3, 1, 0) if array.ndim == 4 else self.channels_last(role, array.T)

    def channels_last(self, role: str, array: Array) -> Array:
        """An array whose first axis runs over (C, ...) of the image, with that axis over (..., C)."""
        if self.image is None or not self._runs_over_the_image(role):
            return array
        return _swapped(array, self.image[-1], prod(self.image[:-1]))

    def _runs_over_the_image(self, role: str) -> bool:
        return self.norm or role == "weight"


def _swapped(array: Array, outer: int, inner: int) -> Array:
    """The array (outer * inner, ...) with the two in the other order."""
    return array.reshape(outer, inner, -1).swapaxes(0, 1).reshape(array.shape)


def units(model: Sequential, *, pytorch: bool) -> list[Unit]:
    """All layers with weights; pytorch: with the images that were flattened in another order.

    Raises ValueError where a flattened image is used in a way that has no counterpart in that order.
    """
    return list(_units(model.layers, model._planned(), "", "", pytorch))


def _units(
    stack: Sequence[layers.Layer], shape: Shape, place: str, module: str, pytorch: bool
) -> Iterator[Unit]:
    image: Shape | None = None  # what the present values are, if they are a flattened image
    number = 0
    for index, layer in enumerate(stack):
        after = layer.output_shape(shape)
        here, there = f"{place}{index}", f"{module}{number}"
        if isinstance(layer, layers.Residual):
            if image is not None:
                raise _without_counterpart(here, layer)
            yield from _units(layer.layers, shape, f"{here}.", f"{there}.", pytorch)
        elif isinstance(layer, layers.Flatten | layers.Reshape) and pytorch:
            image = _reshaped(here, layer, image, shape, after)
        elif layer.parameter_names:
            yield Unit(layer, here, there, image)
            if isinstance(layer, layers.Dense):
                image = None
        number += 2 if getattr(layer, "activation", None) is not None else 1
        shape = after


def _reshaped(place: str, layer: layers.Layer, image: Shape | None, before: Shape, after: Shape) -> Shape | None:
    """The image that the values are after a change of shape."""
    if before == after or (image is None and _same_order(before) and _same_order(after)):
        return image
    if image is None and len(after) == 1:
        return before
    if image == after:
        return None
    raise _without_counterpart(place, layer)


def _same_order(shape: Shape) -> bool:
    """Whether the values are in the same order with the channels first and last."""
    return shape[-1] == 1 or prod(shape[:-1]) == 1


def _without_counterpart(place: str, layer: layers.Layer) -> ValueError:
    kind = type(layer).__name__
    return ValueError(f"{OWNER}: layer {place} ({kind}) has no counterpart where images are (C, H, W)")


# From a model


def pytorch_arrays(model: Sequential) -> dict[str, Array]:
    """The state dict of the same network in PyTorch."""
    state: dict[str, Array] = {}
    for unit in units(model, pytorch=True):
        for role, array in unit.arrays().items():
            state[f"{unit.module}.{role}"] = np.ascontiguousarray(unit.to_pytorch(role, array))
        if unit.norm:
            state[f"{unit.module}.num_batches_tracked"] = np.zeros((), np.int64)
    return state


def numpy_arrays(model: Sequential) -> dict[str, Array]:
    """W1, b1, W2, ... of dense layers and convolutions; gamma1, beta1, running_mean1, running_var1 of batch
    norms: the arrays themselves."""
    found: dict[str, Array] = {}
    counts = {False: 0, True: 0}
    for unit in units(model, pytorch=False):
        counts[unit.norm] += 1
        names = _NORM if unit.norm else {"weight": "W", "bias": "b"}
        found |= {f"{names[role]}{counts[unit.norm]}": array for role, array in unit.arrays().items()}
    return found


# Into a model


def fill(model: Sequential, modules: Sequence[Module], *, pytorch: bool, channels_first: bool) -> None:
    """Replace all weights of the model: by kind (dense, convolution, batch norm) and order.

    pytorch: the modules' arrays have PyTorch's layout, else that of the model; channels_first: values of a
    flattened image are in the order (C, H, W). Raises CheckpointError, and changes nothing, when a module is
    missing or left over, has another shape, or holds NaN or infinity.
    """
    new: list[tuple[Array, Array]] = []
    left = {kind: [module for module in modules if _kind(module) == kind] for kind in _KINDS}
    for unit in units(model, pytorch=channels_first):
        kind = type(unit.layer).__name__
        if not left[kind]:
            raise CheckpointError(f"it holds no {kind} for layer {unit.place} of the model")
        module = left[kind].pop(0)
        own = unit.arrays()
        if own.keys() != module.arrays.keys():
            names = ", ".join(sorted(own.keys() ^ module.arrays.keys()))
            raise CheckpointError(f"{module.name} does not fit layer {unit.place} ({kind}): one of them has no {names}")
        for role, target in own.items():
            new.append((target, _value(unit, module, role, target, pytorch)))
    if rest := [module.name for kind in _KINDS for module in left[kind]]:
        raise CheckpointError(f"the model has no layer for {', '.join(rest)}")
    for target, value in new:
        target[...] = value


_KINDS = ("Dense", "Conv2D", "BatchNorm")


def _kind(module: Module) -> str:
    kinds = {2: "Dense", 4: "Conv2D"}
    weights = module.arrays["weight"]
    if not module.norm and weights.ndim not in kinds:
        raise CheckpointError(f"{module.names['weight']} must have 2 or 4 axes, got shape {weights.shape}")
    return "BatchNorm" if module.norm else kinds[weights.ndim]


def _value(unit: Unit, module: Module, role: str, target: Array, pytorch: bool) -> Array:
    """The module's array as the model takes it."""
    name, array = module.names[role], module.arrays[role]
    if array.dtype.kind not in "buif":
        raise CheckpointError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if target.ndim == 1:
        array = array.reshape(-1)
    wanted = unit.to_pytorch(role, target).shape if pytorch else target.shape
    if array.shape != wanted:
        layer = f"layer {unit.place} ({type(unit.layer).__name__})"
        hint = "; if the modules run in another order than that of their names, give the order" if pytorch else ""
        raise CheckpointError(f"{name} must have shape {wanted} for {layer}, got {array.shape}{hint}")
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        value = array.astype(target.dtype)
    if not np.isfinite(value).all():
        raise CheckpointError(f"{name} must be finite, got {array[~np.isfinite(value)].flat[0]}")
    return unit.from_pytorch(role, value) if pytorch else unit.channels_last(role, value)
