"""What all layers share: the door, the flat parameters, and what backward remembers of forward."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _checks
from fastnn._backend import operations
from fastnn._typing import Array, ArrayLike, Backend, Precision, Seed, Shape
from fastnn.layers._buffers import Buffer, Scratch
from fastnn.layers._parameters import Parameterised


class Layer(Parameterised):
    """Base class. A layer defines `_axes`, `_forward` and `_backward`, and `_shapes` if it has parameters.

    Attributes after a call: `inputs` and `output` of the last forward, `dinputs` of the last backward. They
    are references: a later call makes new arrays, or reuses memory that nobody else holds.

    dtype: "float32" or "float64"; whatever x is, it is converted at the door.
    backend: "numba" (compiled) or "numpy".
    seed: None, an integer or a NumPy Generator, for the initial weights and for dropout.
    """

    _in_model = False

    def __init__(self, *, dtype: Any = "float32", backend: Backend = "numba", seed: Seed = None) -> None:
        owner = type(self).__name__
        self.dtype: np.dtype[Any] = _checks.float_dtype(owner, dtype)
        self.backend: Backend = _checks.backend(owner, backend)
        self.seed: Seed = _checks.seed(owner, seed)
        self.training = True
        self.inputs: Array | None = None
        self.output: Array | None = None
        self.dinputs: Array | None = None
        self.scratch = Scratch()
        super().__init__()
        self._given: object = None
        self._needs_input_gradient = True
        self._outputs, self._gradients = Buffer(), Buffer()

    # Forward and backward

    def forward(self, x: ArrayLike) -> Array:
        """Output for x (N, ...), kept as `output` until the next call.

        Raises ValueError for a wrong shape or an empty batch, TypeError for what is no array of real numbers.
        """
        checked = self._door(x)
        self.release()
        return self.forward_checked(checked, x)

    def forward_checked(self, x: Array, given: object = None) -> Array:
        """`forward` for a model, which has checked and released: x is what the door would return, of `given`."""
        self._infer(x.shape[1:])
        self.output = output = self._forward(x)
        self.inputs, self._given = x, given
        return output

    def backward(self, dy: ArrayLike, x: ArrayLike | None = None) -> Array | None:
        """Gradient of the loss with respect to x from the one with respect to the output; sets `dinputs` to
        it.

        dy: shape of the output. x: the input again, for scripts that pass it; when it is not the array that
        forward saw last, it is run forward first. Sets the gradients of the parameters. Returns None when
        `needs_input_gradient` is False. Raises RuntimeError before the first forward.
        """
        if x is not None and x is not self._given:
            self._recall(x)
        if self.output is None:
            raise RuntimeError(f"{type(self).__name__}: backward needs a forward before it")
        checked = _checks.array(type(self).__name__, "dy", dy, self.dtype, self.output.shape)
        return self.backward_checked(checked)

    def backward_checked(self, dy: Array) -> Array | None:
        """`backward` for a model, whose dy has the output's shape and dtype."""
        self.dinputs = None
        if self._needs_input_gradient or self.parameter_names:
            dx = self._backward(dy)
            self.dinputs = dx if self._needs_input_gradient else None
        return self.dinputs

    def release(self) -> None:
        """Forget the last input, output and gradient, so that their memory can be used again."""
        self.inputs = self.output = self.dinputs = self._given = None

    def train(self) -> None:
        """Training mode, the default: dropout drops, batch norm uses the batch's own statistics."""
        self.training = True

    def eval(self) -> None:
        """Inference mode."""
        self.training = False

    # Shapes

    def build(self, input_shape: Shape) -> None:
        """Make the parameters for samples of input_shape (without N), unless they exist.

        Raises ValueError when the layer cannot take samples of this shape.
        """
        self.output_shape(input_shape)
        self._infer(input_shape)
        self._made()

    def output_shape(self, input_shape: Shape) -> Shape:
        """Shape of one output sample, without N."""
        return _checks.input_shape(type(self).__name__, input_shape, self._axes()[1:])

    def multiply_adds(self, input_shape: Shape) -> int:
        """Multiply-adds of forward for one sample; elementwise work is not counted."""
        return 0

    @property
    def needs_input_gradient(self) -> bool:
        """False for a network's first layers: backward skips dinputs and returns None."""
        return self._needs_input_gradient

    @needs_input_gradient.setter
    def needs_input_gradient(self, value: bool) -> None:
        self._needs_input_gradient = _checks.flag(type(self).__name__, "needs_input_gradient", value)

    def place(
        self,
        *,
        dtype: Any = None,
        backend: Backend | None = None,
        precision: Precision | None = None,
        seed: Seed = None,
    ) -> None:
        """Change dtype (parameters are cast), backend, or the precision of layers that have products; a seed is
        taken only if the layer has none yet. Raises RuntimeError for another dtype than that of the built model
        whose layer this is."""
        owner, wanted = type(self).__name__, self._wanted(dtype)
        if backend is not None:
            self.backend = _checks.backend(owner, backend)
        if seed is not None and self.seed is None:
            self.seed = _checks.seed(owner, seed)
        if wanted != self.dtype:
            self.dtype = wanted
            self.release()
            if self._flat is not None:
                self._cast()

    def join(self) -> None:
        """Belong to a built model from now on, whose arrays have its dtype."""
        self._in_model = True

    # Description

    def config(self) -> dict[str, Any]:
        """Constructor keywords as JSON values: `type(layer)(**layer.config())` is a layer like this one."""
        seed = self.seed if isinstance(self.seed, int) else None
        return {**self._own_config(), "dtype": self.dtype.name, "backend": self.backend, "seed": seed}

    def __repr__(self) -> str:
        keywords = ", ".join(f"{name}={value!r}" for name, value in self._own_config().items())
        return f"{type(self).__name__}({keywords})"

    # For the layers themselves

    def _wanted(self, dtype: Any) -> np.dtype[Any]:
        """The dtype that `place` asks for."""
        owner = type(self).__name__
        wanted = self.dtype if dtype is None else _checks.float_dtype(owner, dtype)
        if self._in_model and wanted != self.dtype:
            raise RuntimeError(f"{owner}: dtype must stay {self.dtype} in a built model, got {wanted}")
        return wanted

    def _axes(self) -> _checks.Axes:
        return ("N", ...)

    def _infer(self, input_shape: Shape) -> None:
        """Take what the constructor left open from the shape of a sample."""

    def _own_config(self) -> dict[str, Any]:
        return {}

    def _forward(self, x: Array) -> Array:
        raise TypeError(f"{type(self).__name__} must define _forward")

    def _backward(self, dy: Array) -> Array | None:
        raise TypeError(f"{type(self).__name__} must define _backward")

    @property
    def _ops(self) -> Any:
        return operations(self.backend)

    def _recall(self, x: ArrayLike) -> None:
        """Remember x as if forward had just seen it."""
        Layer.forward(self, x)

    def _door(self, x: ArrayLike) -> Array:
        return _checks.array(type(self).__name__, "x", x, self.dtype, self._axes())
