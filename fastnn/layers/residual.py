"""A skip connection around a list of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, ArrayLike, Backend, Precision, Seed, Shape
from fastnn.layers._base import Layer
from fastnn.layers._buffers import Buffer, Scratch
from fastnn.layers._parameters import Flat


class Residual(Layer):
    """y = x + f(x), f the given layers one after the other (He et al. 2015, arXiv:1512.03385).

    f must keep the shape of x. layers: Layer objects, each used once. Their parameters are named by their
    place: "0.weights". dtype, backend: None leaves each layer its own (dtypes must agree), else set on all.
    seed: for the layers that have none of their own.
    """

    def __init__(
        self,
        layers: Iterable[Layer | Mapping[str, Any]],
        *,
        dtype: Any = None,
        backend: Backend | None = None,
        seed: Seed = None,
    ) -> None:
        from fastnn.layers import rebuild  # its table of layers holds this one too

        self.layers = [rebuild(layer) if isinstance(layer, Mapping) else layer for layer in layers]
        if not self.layers:
            raise ValueError("Residual: layers must not be empty")
        for number, layer in enumerate(self.layers):
            _checks.instance("Residual", f"layers[{number}]", layer, Layer, "a Layer")
        if len({id(layer) for layer in self.layers}) != len(self.layers):
            raise ValueError("Residual: layers must be different objects, got one of them twice")
        first = self.layers[0]
        super().__init__(
            dtype=first.dtype if dtype is None else dtype,
            backend=first.backend if backend is None else backend,
            seed=seed,
        )
        self.parameter_names = tuple(
            f"{i}.{name}" for i, layer in enumerate(self.layers) for name in layer.parameter_names
        )
        self.state_names = tuple(f"{i}.{name}" for i, layer in enumerate(self.layers) for name in layer.state_names)
        if self.seed is not None:
            self._sow(self.seed)
        for layer in self.layers:
            layer.place(dtype=dtype, backend=backend)
        if any(layer.dtype != self.dtype for layer in self.layers):
            found = ", ".join(layer.dtype.name for layer in self.layers)
            raise ValueError(f"Residual: layers must have one dtype, got {found}")

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._flat is not None:
            self._bind_layers(self._flat)  # a copied layer's views are copies

    def named_states(self) -> dict[str, Array]:
        states = {}
        for number, layer in enumerate(self.layers):
            states.update({f"{number}.{name}": state for name, state in layer.named_states().items()})
        return states

    @property
    def scratch(self) -> Scratch:
        """Work space, shared by the layers."""
        return self._shared_scratch

    @scratch.setter
    def scratch(self, value: Scratch) -> None:
        self._shared_scratch = value
        for layer in self.layers:
            layer.scratch = value

    def train(self) -> None:
        super().train()
        for layer in self.layers:
            layer.train()

    def eval(self) -> None:
        super().eval()
        for layer in self.layers:
            layer.eval()

    def release(self) -> None:
        super().release()
        for layer in self.layers:
            layer.release()

    def place(
        self,
        *,
        dtype: Any = None,
        backend: Backend | None = None,
        precision: Precision | None = None,
        seed: Seed = None,
    ) -> None:
        self._wanted(dtype)
        if seed is not None and self.seed is None:
            self._sow(seed)
        for layer in self.layers:
            layer.place(dtype=dtype, backend=backend, precision=precision)
        super().place(dtype=dtype, backend=backend, seed=seed)

    def join(self) -> None:
        super().join()
        for layer in self.layers:
            layer.join()

    def bind(self, parameters: Array, gradients: Array) -> None:
        super().bind(parameters, gradients)
        self._bind_layers(self._made())

    def output_shape(self, input_shape: Shape) -> Shape:
        given = super().output_shape(input_shape)
        shape = given
        for layer in self.layers:
            shape = layer.output_shape(shape)
        if shape != given:
            raise ValueError(f"Residual: layers must keep the shape {given} of x, got {shape}")
        return given

    def multiply_adds(self, input_shape: Shape) -> int:
        total = 0
        for layer in self.layers:
            total += layer.multiply_adds(input_shape)
            input_shape = layer.output_shape(input_shape)
        return total

    def _sow(self, seed: Seed) -> None:
        # Spawned, not shared: each layer draws from a stream of its own.
        rng = np.random.default_rng(_checks.seed("Residual", seed))
        for layer, own in zip(self.layers, rng.spawn(len(self.layers)), strict=True):
            layer.place(seed=own)

    def _is_known(self) -> bool:
        return all(layer._is_known() for layer in self.layers)

    def _infer(self, input_shape: Shape) -> None:
        if not self._is_known():
            for layer in self.layers:
                layer.build(input_shape)
                input_shape = layer.output_shape(input_shape)

    def _shapes(self) -> dict[str, Shape]:
        shapes = {}
        for number, layer in enumerate(self.layers):
            for name, array in layer.named_parameters().items():
                shapes[f"{number}.{name}"] = array.shape
        return shapes

    def _make(self) -> None:
        self._flat = Flat(self._shapes(), self.dtype)
        start = 0
        for layer in self.layers:  # the new arrays first receive what the layers hold
            stop = start + layer.parameter_count
            self._flat.parameters[start:stop] = layer.parameters
            self._flat.gradients[start:stop] = layer.gradients
            start = stop
        self._bind_layers(self._flat)

    def _cast(self) -> None:
        self._make()

    def _bind_layers(self, flat: Flat) -> None:
        start = 0
        for layer in self.layers:
            stop = start + layer.parameter_count
            layer.bind(flat.parameters[start:stop], flat.gradients[start:stop])
            start = stop

    def _recall(self, x: ArrayLike) -> None:
        checked = self._door(x)
        y = checked
        for layer in self.layers:
            layer._recall(y)
            assert layer.output is not None
            y = layer.output
        self.inputs, self._given, self.output = checked, x, self._sum(checked, y, self._outputs)

    def _forward(self, x: Array) -> Array:
        y = x
        for layer in self.layers:
            y = layer.forward(y)
        return self.sum(x, y)

    def sum(self, x: Array, y: Array) -> Array:
        """The output for x, of which the layers have made y."""
        self.check_shape(x, y)
        return self._sum(x, y, self._outputs)

    def check_shape(self, x: Array, y: Array) -> None:
        """Raise ValueError unless y can be added to x."""
        if y.shape != x.shape:
            raise ValueError(f"Residual: layers must keep the shape {x.shape} of x, got {y.shape}")

    def _backward(self, dy: Array) -> Array | None:
        return self.gradient(self.layers, dy, self.needs_input_gradient)

    def gradient(self, layers: Sequence[Layer], dy: Array, wanted: bool) -> Array | None:
        """dx, if `wanted`, after a forward through `layers`: the own ones, or those as a model's steps run them."""
        first = next((i for i, layer in enumerate(layers) if layer.parameter_names), len(layers))
        dx: Array | None = dy
        for number in reversed(range(len(layers))):
            layer = layers[number]
            layer.needs_input_gradient = wanted or number > first
            if dx is not None:
                dx = layer.backward(dx)
        return None if dx is None else self._sum(dy, dx, self._gradients)

    def _sum(self, a: Array, b: Array, buffer: Buffer) -> Array:
        total = buffer.take(a.shape, self.dtype)
        self._ops.residual_add(a.reshape(-1), b.reshape(-1), total.reshape(-1))
        return total

    def _own_config(self) -> dict[str, Any]:
        from fastnn.layers import describe

        return {"layers": [describe(layer) for layer in self.layers]}
