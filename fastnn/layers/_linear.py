"""What Dense and Conv2D share: weights, biases, initialiser, and the activation done in passing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, initializers
from fastnn._backend import operations
from fastnn._typing import Array, Backend, Precision, Seed, Shape
from fastnn.layers import activation as activations
from fastnn.layers._base import Layer
from fastnn.layers._parameters import Parameter
from fastnn.reference.activation import IDENTITY

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastnn._typing import Common


class Linear(Layer):
    """y = f(x * weights + biases) for some product *, and its gradients dweights, dbiases, dinputs.

    activation: None, a word such as "relu", or an activation layer; where the slope follows from the output
    (ReLU, LeakyReLU, ELU, Sigmoid, Tanh) it costs no extra pass. init: name, standard deviation, or function
    (shape, rng) -> array, see `fastnn.initializers`; biases start at 0.
    precision: "full", products in dtype; or "bf16", for dtype float32: where that is faster, the numbers that
    a product multiplies are rounded to 8 significant bits first, and still added in float32. Weights, gradients
    and all else stay float32. Compiled it needs a CPU with AVX512_BF16: RuntimeError without.
    """

    weights = Parameter()
    biases = Parameter()
    dweights = Parameter()
    dbiases = Parameter()
    twin: Linear | None = None  # this layer as a model's steps run it: with the next one's activation
    sloped = False  # dy has the activation's slope in it already: the next layer is `rectified`
    rectified = False  # x is the output of a ReLU, whose slope dx is to have in it

    def __init__(
        self,
        *,
        bias: bool,
        activation: str | Layer | dict[str, Any] | None,
        init: str | float | initializers.Initializer,
        precision: Precision,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        owner = type(self).__name__
        self.precision: Precision = _checks.precision(owner, precision, self.dtype)
        self.bias = _checks.flag(owner, "bias", bias)
        self.parameter_names = ("weights", "biases") if bias else ("weights",)
        self.init = initializers.get(owner, init)
        self.activation = activations.make(owner, activation, dtype=self.dtype, backend=self.backend)

    def release(self) -> None:
        super().release()
        if self.activation is not None:
            self.activation.release()

    def place(
        self,
        *,
        dtype: Any = None,
        backend: Backend | None = None,
        precision: Precision | None = None,
        seed: Seed = None,
    ) -> None:
        self.precision = _checks.precision(type(self).__name__, precision or self.precision, self._wanted(dtype))
        super().place(dtype=dtype, backend=backend, seed=seed)
        if self.activation is not None:
            self.activation.place(dtype=dtype, backend=backend)
        if self.twin is not None:
            self.twin.backend, self.twin.precision = self.backend, self.precision

    def join(self) -> None:
        super().join()
        if self.activation is not None:
            self.activation.join()

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        if self.precision != "full":
            operations(self.backend, self.precision)  # tells early what the CPU cannot do

    # The three products

    @property
    def _products(self) -> Any:
        return operations(self.backend, self.precision)

    def _product_shape(self, x: Array) -> Shape:
        """Shape of y."""
        raise TypeError(f"{type(self).__name__} must define _product_shape")

    def _scratch_size(self, x: Array, y_shape: Shape) -> int:
        raise TypeError(f"{type(self).__name__} must define _scratch_size")

    def _product(self, x: Array, biases: Array, code: int, alpha: float, scratch: Array, y: Array) -> None:
        raise TypeError(f"{type(self).__name__} must define _product")

    def _weight_gradient(self, x: Array, dz: Array, scratch: Array, dbiases: Array) -> None:
        raise TypeError(f"{type(self).__name__} must define _weight_gradient")

    def _input_gradient(self, dz: Array, scratch: Array, dx: Array) -> None:
        raise TypeError(f"{type(self).__name__} must define _input_gradient")

    # Layer

    def _initialise(self, rng: np.random.Generator) -> None:
        shape = self.weights.shape
        drawn = np.asarray(self.init(shape, rng))
        if drawn.shape != shape:
            raise ValueError(f"{type(self).__name__}: init must return shape {shape}, got {drawn.shape}")
        self.weights[...] = drawn

    def _forward(self, x: Array) -> Array:
        f = self.activation
        biases = self._array("biases") if self.bias else np.empty(0, self.dtype)
        y = self._outputs.take(self._product_shape(x), self.dtype)
        scratch = self.scratch.take(self._scratch_size(x, y.shape), self.dtype)
        if isinstance(f, activations.Elementwise) and f.from_output:
            self._product(x, biases, f.code, f.alpha, scratch, y)
            return y
        self._product(x, biases, IDENTITY, 0.0, scratch, y)
        return y if f is None else f.forward(y)

    def _backward(self, dy: Array) -> Array | None:
        assert self.inputs is not None
        f, x = self.activation, self.inputs
        dz: Array = dy
        if self.sloped:
            dz = dy
        elif isinstance(f, activations.Elementwise) and f.from_output:
            dz = f.backward_from(None, self.output, dy)
        elif f is not None:
            through = f.backward(dy)
            assert through is not None
            dz = through
        return self.product_gradients(x, dz)

    def product_gradients(self, x: Array, dz: Array) -> Array | None:
        """The gradients of weights and biases, and of x if it is wanted, from that of the product."""
        scratch = self.scratch.take(self._scratch_size(x, dz.shape), self.dtype)
        dbiases = self._array("dbiases") if self.bias else np.empty(0, self.dtype)
        self._weight_gradient(x, dz, scratch, dbiases)
        if not self.needs_input_gradient:
            return None
        dx = self._gradients.take(x.shape, self.dtype)
        self._input_gradient(dz, scratch, dx)
        return dx

    def _own_config(self) -> dict[str, Any]:
        init = initializers.config(self.init)
        return {
            "bias": self.bias,
            "activation": None if self.activation is None else activations.describe(self.activation),
            **({} if init is None else {"init": init}),
            **({} if self.precision == "full" else {"precision": self.precision}),
        }
