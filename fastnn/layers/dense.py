"""Fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn._typing import Array, Precision, Shape
from fastnn.initializers import Initializer
from fastnn.layers._base import Layer
from fastnn.layers._linear import Linear

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastnn._typing import Common


class Dense(Linear):
    """y = f(x @ weights + biases): x (N, C), weights (C, K), biases (K,), y (N, K).

    in_features: C; None takes it from the first input. out_features: K. bias: False leaves the biases out.
    activation, precision, init: see `Linear`. dtype, backend, seed: see `Layer`.
    """

    def __init__(
        self,
        in_features: int | None = None,
        out_features: int | None = None,
        bias: bool = True,
        activation: str | Layer | dict[str, Any] | None = None,
        init: str | float | Initializer = "he_normal",
        precision: Precision = "full",
        **common: Unpack[Common],
    ) -> None:
        super().__init__(bias=bias, activation=activation, init=init, precision=precision, **common)
        self.in_features = _checks.optional_integer("Dense", "in_features", in_features, 1)
        self.out_features = _checks.integer("Dense", "out_features", out_features, 1)

    def output_shape(self, input_shape: Shape) -> Shape:
        super().output_shape(input_shape)
        return (self.out_features,)

    def multiply_adds(self, input_shape: Shape) -> int:
        return int(input_shape[0]) * self.out_features

    def _axes(self) -> _checks.Axes:
        return ("N", "C" if self.in_features is None else self.in_features)

    def _shapes(self) -> dict[str, Shape]:
        assert self.in_features is not None
        shapes: dict[str, Shape] = {"weights": (self.in_features, self.out_features)}
        return shapes | {"biases": (self.out_features,)} if self.bias else shapes

    def _is_known(self) -> bool:
        return self.in_features is not None

    def _infer(self, input_shape: Shape) -> None:
        if self.in_features is None:
            self.in_features = int(input_shape[0])

    def _product_shape(self, x: Array) -> Shape:
        return x.shape[0], self.out_features

    def _scratch_size(self, x: Array, y_shape: Shape) -> int:
        return int(self._products.dense_scratch_size(*x.shape, self.out_features))

    def _product(self, x: Array, biases: Array, code: int, alpha: float, scratch: Array, y: Array) -> None:
        self._products.dense_forward(x, self.weights, biases, code, alpha, scratch, y)

    def _weight_gradient(self, x: Array, dz: Array, scratch: Array, dbiases: Array) -> None:
        self._products.dense_weight_gradient(x, dz, scratch, self.dweights, dbiases)

    def _input_gradient(self, dz: Array, scratch: Array, dx: Array) -> None:
        relu = self.inputs if self.rectified and self.inputs is not None else dx[:0]
        self._products.dense_input_gradient(dz, self.weights, relu, scratch, dx)

    def _own_config(self) -> dict[str, Any]:
        return {"in_features": self.in_features, "out_features": self.out_features, **super()._own_config()}
