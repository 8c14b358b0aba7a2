"""Activations: each takes x (N, ...) and returns an array of its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._typing import Array
from fastnn.layers._base import Layer
from fastnn.reference import activation as codes

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastnn._typing import Common


class Elementwise(Layer):
    """An activation that works on every element by itself; a dense layer or a convolution can do it in
    passing.

    code: its number in the operations; alpha: its one constant; from_output: its slope follows from the
    output.
    """

    code: int
    alpha: float = 0.0
    from_output = True

    def backward_from(self, x: Array | None, y: Array | None, dy: Array) -> Array:
        """dy * f'(x); of x and y only the one that `from_output` names is read."""
        none = np.empty(0, self.dtype)
        dx = self._gradients.take(dy.shape, self.dtype)
        self._ops.activation_backward(
            self.code,
            self.alpha,
            none if self.from_output or x is None else x.reshape(-1),
            y.reshape(-1) if self.from_output and y is not None else none,
            dy.reshape(-1),
            dx.reshape(-1),
        )
        return dx

    def _forward(self, x: Array) -> Array:
        y = self._outputs.take(x.shape, self.dtype)
        self._ops.activation_forward(self.code, self.alpha, x.reshape(-1), y.reshape(-1))
        return y

    def _backward(self, dy: Array) -> Array:
        return self.backward_from(self.inputs, self.output, dy)


class ReLU(Elementwise):
    """max(x, 0); the slope at 0 is 0."""

    code = codes.RELU


class LeakyReLU(Elementwise):
    """x where it is positive, else negative_slope * x, negative_slope >= 0; the slope at 0 is that too."""

    code = codes.LEAKY_RELU

    def __init__(self, negative_slope: float = 0.01, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.negative_slope = _checks.number("LeakyReLU", "negative_slope", negative_slope, minimum=0)
        self.alpha = self.negative_slope
        if self.negative_slope == 0:
            self.code = codes.RELU  # the sign of x cannot be read from an output of 0

    def _own_config(self) -> dict[str, Any]:
        return {"negative_slope": self.negative_slope}


class ELU(Elementwise):
    """x where it is positive, else alpha * (exp(x) - 1), alpha > 0 (Clevert et al., arXiv:1511.07289)."""

    code = codes.ELU

    def __init__(self, alpha: float = 1.0, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.alpha = _checks.number("ELU", "alpha", alpha, above=0)

    def _own_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha}


class GELU(Elementwise):
    """x * Phi(x), Phi the normal distribution function (Hendrycks & Gimpel 2016, arXiv:1606.08415).

    approximate: "none" (by erf) or "tanh" (the paper's approximation).
    """

    code = codes.GELU
    from_output = False

    def __init__(self, approximate: str = "none", **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.approximate = _checks.choice("GELU", "approximate", approximate, ("none", "tanh"))
        self.code = codes.GELU_TANH if approximate == "tanh" else codes.GELU

    def _own_config(self) -> dict[str, Any]:
        return {"approximate": self.approximate}


class SiLU(Elementwise):
    """x * sigmoid(x), also called swish."""

    code = codes.SILU
    from_output = False


class Softplus(Elementwise):
    """log(1 + exp(x)), without overflow."""

    code = codes.SOFTPLUS
    from_output = False


class Sigmoid(Elementwise):
    """1 / (1 + exp(-x)), without overflow on either side."""

    code = codes.SIGMOID


class Tanh(Elementwise):
    """tanh(x)."""

    code = codes.TANH


class Clip(Layer):
    """x limited to min_value..max_value, as `np.clip` does before an activation; x (N, ...).

    The gradient passes where x lies between the two, and is 0 where it was limited.
    """

    def __init__(self, min_value: float, max_value: float, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.min_value = _checks.number("Clip", "min_value", min_value)
        self.max_value = _checks.number("Clip", "max_value", max_value, above=self.min_value)

    def _forward(self, x: Array) -> Array:
        y = self._outputs.take(x.shape, self.dtype)
        self._ops.clip_forward(self.min_value, self.max_value, x.reshape(-1), y.reshape(-1))
        return y

    def _backward(self, dy: Array) -> Array:
        assert self.output is not None
        dx = self._gradients.take(dy.shape, self.dtype)
        self._ops.clip_backward(
            self.min_value, self.max_value, self.output.reshape(-1), dy.reshape(-1), dx.reshape(-1)
        )
        return dx

    def _own_config(self) -> dict[str, Any]:
        return {"min_value": self.min_value, "max_value": self.max_value}


class _OverClasses(Layer):
    """Works along the last axis of x (N, ..., C)."""

    def _axes(self) -> _checks.Axes:
        return ("N", "C", ...)

    def _rows(self, x: Array) -> Array:
        return x.reshape(-1, x.shape[-1])


class Softmax(_OverClasses):
    """exp(x) / sum(exp(x)) along the last axis of x (N, ..., C), without overflow."""

    def _forward(self, x: Array) -> Array:
        y = self._outputs.take(x.shape, self.dtype)
        self._ops.softmax_forward(self._rows(x), self._rows(y))
        return y

    def _backward(self, dy: Array) -> Array:
        assert self.output is not None
        dx = self._gradients.take(dy.shape, self.dtype)
        self._ops.softmax_backward(self._rows(self.output), self._rows(dy), self._rows(dx))
        return dx


class LogSoftmax(_OverClasses):
    """log(softmax(x)) along the last axis of x (N, ..., C), without overflow."""

    def _forward(self, x: Array) -> Array:
        y = self._outputs.take(x.shape, self.dtype)
        self._ops.log_softmax_forward(self._rows(x), self._rows(y))
        return y

    def _backward(self, dy: Array) -> Array:
        assert self.output is not None
        dx = self._gradients.take(dy.shape, self.dtype)
        self._ops.log_softmax_backward(self._rows(self.output), self._rows(dy), self._rows(dx))
        return dx


# The words that `activation=` takes.
NAMES: dict[str, tuple[type[Layer], dict[str, Any]]] = {
    "relu": (ReLU, {}),
    "leaky_relu": (LeakyReLU, {}),
    "elu": (ELU, {}),
    "gelu": (GELU, {}),
    "gelu_tanh": (GELU, {"approximate": "tanh"}),
    "silu": (SiLU, {}),
    "swish": (SiLU, {}),
    "softplus": (Softplus, {}),
    "sigmoid": (Sigmoid, {}),
    "tanh": (Tanh, {}),
    "softmax": (Softmax, {}),
    "log_softmax": (LogSoftmax, {}),
}
CLASSES: dict[str, type[Layer]] = {kind.__name__: kind for kind, _ in NAMES.values()}


def make(owner: str, activation: object, **common: Unpack[Common]) -> Layer | None:
    """Own activation layer of another layer, from a word, an activation layer to copy, or its `describe`."""
    if activation is None:
        return None
    if isinstance(activation, str):
        kind, keywords = NAMES[_checks.choice(owner, "activation", activation, NAMES)]
        return kind(**keywords, **common)
    if isinstance(activation, Layer) and type(activation).__name__ in CLASSES:
        activation = describe(activation)
    if not isinstance(activation, Mapping):
        raise TypeError(f"{owner}: activation must be a name or an activation layer, got {type(activation).__name__}")
    keywords = dict(activation)
    kind = CLASSES[_checks.choice(owner, "activation", keywords.pop("type", None), CLASSES)]
    return kind(**keywords, **common)


def describe(activation: Layer) -> dict[str, Any]:
    """Type and constants of an activation as JSON values."""
    return {"type": type(activation).__name__, **activation._own_config()}
