"""Layers one after the other: shapes and memory, planned once from the shape of one sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import RLock
from typing import Any

import numpy as np

from fastnn import _checks
from fastnn._fusion import fused
from fastnn._typing import Array, ArrayLike, Backend, Precision, Seed, Shape
from fastnn.layers._base import Layer
from fastnn.layers._buffers import Scratch, aligned
from fastnn.layers._parameters import assign

OWNER = "Sequential"


class Network:
    """The part of `Sequential` that knows no loss: passes, and the flat arrays of all parameters."""

    output_shape: Shape
    parameters: Array
    gradients: Array
    parameter_slices: dict[str, slice]
    _gradient_sum: Array | None = None

    def __init__(
        self,
        layers: Iterable[Layer],
        input_shape: Iterable[int] | None = None,
        *,
        dtype: Any = None,
        backend: Backend | None = None,
        precision: Precision | None = None,
        seed: Seed = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.layers = list(layers)
        if not self.layers:
            raise ValueError(f"{OWNER}: layers must not be empty")
        for number, layer in enumerate(self.layers):
            _checks.instance(OWNER, f"layers[{number}]", layer, Layer, "a Layer")
        if len({id(layer) for layer in self.layers}) != len(self.layers):
            raise ValueError(f"{OWNER}: layers must be different objects, got one of them twice")
        self.rng = np.random.default_rng(_checks.seed(OWNER, seed))
        seeds = [None] * len(self.layers) if seed is None else self.rng.spawn(len(self.layers))
        for layer, own in zip(self.layers, seeds, strict=True):
            layer.place(dtype=dtype, backend=backend, precision=precision, seed=own)
        self.dtype = self.layers[0].dtype
        if any(layer.dtype != self.dtype for layer in self.layers):
            got = ", ".join(layer.dtype.name for layer in self.layers)
            raise ValueError(f"{OWNER}: layers must have one dtype, got {got}")
        self.backend = self.layers[0].backend
        self.class_names = None if class_names is None else [str(name) for name in class_names]
        self.training = True
        self._scratch = Scratch()
        self._lock = RLock()  # predictions from several threads take turns: they share the layers' memory
        self.input_shape: Shape | None = None
        if input_shape is not None:
            self.build(input_shape)

    # Planning

    def build(self, input_shape: Iterable[int]) -> None:
        """Plan shapes and memory for samples of this shape (without N). Done once; the constructor's
        input_shape and the first data do it too. Raises ValueError when the layers do not fit together."""
        shape = _checks.input_shape(OWNER, input_shape, (...,))
        if self.input_shape is not None:
            if shape != self.input_shape:
                raise ValueError(f"{OWNER}: input_shape is {self.input_shape} already, got {shape}")
            return
        shapes = [shape]
        for number, layer in enumerate(self.layers):
            try:
                layer.build(shapes[-1])
                shapes.append(layer.output_shape(shapes[-1]))
            except ValueError as error:
                raise ValueError(f"{OWNER}: layer {number} does not fit: {error}") from error
        classes = 2 if shapes[-1] == (1,) else shapes[-1][-1]
        if self.class_names is not None and len(self.class_names) != classes:
            raise ValueError(f"{OWNER}: class_names must be {classes} names, got {len(self.class_names)}")
        self.input_shape, self.output_shape = shape, shapes[-1]
        self._bind()

    def _bind(self) -> None:
        """Move all parameters and gradients into two flat arrays, and prepare what a step calls."""
        size = sum(layer.parameter_count for layer in self.layers)
        self.parameters, self.gradients = aligned(size, self.dtype), aligned(size, self.dtype)
        self._gradient_sum = None
        self.parameter_slices = {}
        start = 0
        for number, layer in enumerate(self.layers):
            stop = start + layer.parameter_count
            if layer.parameter_count:
                layer.bind(self.parameters[start:stop], self.gradients[start:stop])
                for name, place in zip(layer.named_parameters(), layer.parameter_slices, strict=True):
                    self.parameter_slices[f"{number}.{name}"] = slice(start + place.start, start + place.stop)
            start = stop
        self._prepare()

    def _prepare(self) -> None:
        trained = [number for number, layer in enumerate(self.layers) if layer.parameter_count]
        first = trained[0] if trained else len(self.layers)
        for number, layer in enumerate(self.layers):
            layer.needs_input_gradient = number > first
            layer.scratch = self._scratch
            layer.join()
        self._sample_axes = ("N", *self._planned())
        self._states = [a for layer in self.layers for a in layer.named_states().values()]
        self._backwards = [layer.backward_checked for layer in reversed(self.layers[first:])]
        steps = fused(self.layers)
        first = next((number for number, layer in enumerate(steps) if layer.parameter_count), len(steps))
        self._releases = [layer.release for layer in steps]
        self._step_forwards = [layer.forward_checked for layer in steps]
        self._step_backwards = [layer.backward_checked for layer in reversed(steps[first:])]

    @property
    def gradient_sum(self) -> Array:
        """Room for the gradients of several batches, a flat array like `gradients`; made when it is first needed."""
        if self._gradient_sum is None:
            self._gradient_sum = aligned(self.gradients.shape, self.dtype)
        return self._gradient_sum

    def __getstate__(self) -> dict[str, Any]:
        derived = (
            "_lock", "_states", "_backwards", "_releases", "_step_forwards", "_step_backwards", "_gradient_sum",
        )  # fmt: skip
        return {name: value for name, value in self.__dict__.items() if name not in derived}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = RLock()
        if self.input_shape is not None:  # a copied layer's arrays are its own: join them in flat ones again
            self._bind()

    # Forward and backward

    def forward(self, x: ArrayLike) -> Array:
        """Output for x (N, *input_shape), in the mode that train() or eval() chose."""
        x = self._samples("x", x)
        for layer in self.layers:
            layer.release()
        for layer in self.layers:
            x = layer.forward_checked(x, x)
        return x

    def backward(self, dy: ArrayLike) -> None:
        """Gradients of all parameters, into `gradients`, from the output's; needs a forward first."""
        output = self.layers[-1].output
        if output is None:
            raise RuntimeError(f"{OWNER}: backward needs a forward before it")
        _backward(self._backwards, _checks.array(OWNER, "dy", dy, self.dtype, output.shape))

    def train(self) -> None:
        """Training mode, the default (dropout drops); fit and train_batch switch to it."""
        self.switch(True)

    def eval(self) -> None:
        """Inference mode, for `forward`; predict and evaluate use it in any case."""
        self.switch(False)

    # The same within a step or a prediction, on checked data, with layers fused: these results are not shown

    def pass_forward(self, x: Array) -> Array:
        """Output for checked x (N, *input_shape)."""
        self.release()
        for forward in self._step_forwards:
            x = forward(x, x)
        return x

    def pass_backward(self, dy: Array) -> None:
        """Gradients of all parameters, into `gradients`, after `pass_forward`."""
        _backward(self._step_backwards, dy)

    def release(self) -> None:
        """Forget the results of the last pass, so that their memory can be used again."""
        for release in self._releases:
            release()

    def switch(self, training: bool) -> None:
        """Training mode or inference mode."""
        self.training = training
        for layer in self.layers:
            if training:
                layer.train()
            else:
                layer.eval()

    # Weights

    def weights(self) -> dict[str, Array]:
        """Name -> array ("0.weights", "1.running_mean"): the arrays themselves, not copies."""
        self._planned()
        return {
            f"{number}.{name}": a
            for number, layer in enumerate(self.layers)
            for name, a in {**layer.named_parameters(), **layer.named_states()}.items()
        }

    def set_weights(self, values: Mapping[str, ArrayLike]) -> None:
        """Copy values into all arrays of `weights`. ValueError for other names or shapes."""
        own = self.weights()
        if values.keys() != own.keys():
            names = ", ".join(sorted(values.keys() ^ own.keys()))
            raise ValueError(f"{OWNER}: weights must have the model's names, got missing or unknown {names}")
        for name, a in own.items():
            assign(OWNER, name, a, values[name])

    # Checks

    def _planned(self) -> Shape:
        """The shape of one sample; RuntimeError while it is not known."""
        if self.input_shape is None:
            raise RuntimeError(f"{OWNER}: shapes are not known yet; pass input_shape, or call build or fit first")
        return self.input_shape

    def _samples(self, name: str, x: ArrayLike) -> Array:
        """x as (N, *input_shape) in the model's dtype; the first x tells an unknown input_shape."""
        if self.input_shape is None:
            self.build(_checks.numeric(OWNER, name, x).shape[1:])
        return _checks.array(OWNER, name, x, self.dtype, self._sample_axes)


def _backward(backwards: Iterable[Callable[[Array], Array | None]], dy: Array) -> None:
    dx: Array | None = dy
    for backward in backwards:
        assert dx is not None  # only the last of them computes none
        dx = backward(dx)
