"""Standardisation of the input, with moments that are fixed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, ArrayLike, Shape
from fastnn.layers._base import Layer
from fastnn.layers._parameters import Parameter, assign

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastnn._typing import Common

_OWNER = "Standardize"
_ROWS_AT_ONCE = 1024


class Standardize(Layer):
    """y = (x - mean) / std for each channel of an image or each feature of a table: a network's first layer.

    x (N, C) or (N, H, W, C), or any (N, ..., C). The numbers are part of the model and its file, so nobody has to
    repeat the preprocessing. No optimizer changes them; `from_data` takes them from the training data.

    mean, std: numbers, or (C,) each; std > 0. num_features: C; None takes it from mean, std or the first input.
    States mean (C,) and factor (C,), which is 1 / std.
    """

    state_names = ("mean", "factor")

    mean = Parameter()
    factor = Parameter()

    def __init__(
        self,
        mean: ArrayLike = 0.0,
        std: ArrayLike = 1.0,
        num_features: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.num_features = _checks.optional_integer(_OWNER, "num_features", num_features, 1)
        self._first = {"mean": self._moments("mean", mean), "std": self._moments("std", std)}
        if not (self._first["std"] > 0).all():
            raise ValueError(f"{_OWNER}: std must be > 0, got {self._first['std'].min():g}")
        for value in self._first.values():
            if value.ndim == 1:
                self._infer(value.shape)
                self._check_features("mean and std", value.shape)

    @classmethod
    def from_data(cls, x: ArrayLike, **common: Unpack[Common]) -> Standardize:
        """The layer that brings x (N, ..., C) to mean 0 and standard deviation 1 in each channel or feature.

        A feature that is the same in all rows becomes 0. Raises ValueError that names the row for NaN or infinity.
        """
        rows = _checks.numeric(_OWNER, "x", x)
        if rows.ndim < 2 or 0 in rows.shape:
            raise ValueError(f"{_OWNER}: x must have shape (N, ..., C) and not be empty, got {rows.shape}")
        _checks.finite(_OWNER, "x", rows)
        starts = range(0, len(rows), _ROWS_AT_ONCE)  # in pieces: float64 for all rows would be twice their memory
        axes = tuple(range(rows.ndim - 1))
        count = rows.size // rows.shape[-1]
        mean = sum(rows[at : at + _ROWS_AT_ONCE].sum(axis=axes, dtype=np.float64) for at in starts) / count
        squares = sum(((rows[at : at + _ROWS_AT_ONCE] - mean) ** 2).sum(axis=axes) for at in starts)
        std = np.sqrt(squares / count)
        tiny = np.finfo(np.float32).eps * np.abs(mean)  # what rounding makes of a constant
        return cls(mean, np.where(std > tiny, std, 1.0), **common)

    @property
    def std(self) -> Array:
        """1 / factor (C,), assignable."""
        return 1 / self.factor

    @std.setter
    def std(self, value: ArrayLike) -> None:
        found = self._moments("std", value)
        if not (found > 0).all():
            raise ValueError(f"{_OWNER}: std must be > 0, got {found.min():g}")
        assign(_OWNER, "std", self.factor, 1 / found)

    def output_shape(self, input_shape: Shape) -> Shape:
        shape = super().output_shape(input_shape)
        self._check_features("input_shape", shape)
        return shape

    @staticmethod
    def _moments(name: str, value: ArrayLike) -> Array:
        found = _checks.numeric(_OWNER, name, value).astype(np.float64)
        if found.ndim > 1 or found.size == 0:
            raise ValueError(f"{_OWNER}: {name} must be a number or have shape (C,), got {found.shape}")
        _checks.finite(_OWNER, name, found.reshape(-1))
        return found

    def _check_features(self, name: str, shape: Shape) -> None:
        if self.num_features is not None and shape[-1] != self.num_features:
            raise ValueError(f"{_OWNER}: {name} must have {self.num_features} features (last axis), got {shape}")

    def _axes(self) -> _checks.Axes:
        return ("N", "C", ...)

    def _door(self, x: ArrayLike) -> Array:
        checked = super()._door(x)
        self._check_features("x", checked.shape)
        return checked

    def _kept_shapes(self) -> dict[str, Shape]:
        assert self.num_features is not None
        return dict.fromkeys(self.state_names, (self.num_features,))

    def _is_known(self) -> bool:
        return self.num_features is not None

    def _infer(self, input_shape: Shape) -> None:
        if self.num_features is None:
            self.num_features = int(input_shape[-1])

    def _initialise(self, rng: np.random.Generator) -> None:
        assert self.num_features is not None
        shape = (self.num_features,)
        self._states = {
            "mean": np.full(shape, self._first["mean"], self.dtype),
            "factor": np.full(shape, 1 / self._first["std"], self.dtype),
            "zeros": np.zeros(shape, self.dtype),
            "ones": np.ones(shape, self.dtype),
            "unused": np.zeros((2, *shape), self.dtype),
        }

    # y = factor * (x - mean) / sqrt(1 + 0) + 0: batch normalisation's kernels with nothing to learn

    def _forward(self, x: Array) -> Array:
        self._made()
        y, s = self._outputs.take(x.shape, self.dtype), self._states
        rows = self._rows(x)
        self._ops.batch_norm_inference(
            rows, s["factor"], s["zeros"], s["mean"], s["ones"], 0.0, rows[:0], False, self._rows(y)
        )
        return y

    def _backward(self, dy: Array) -> Array:
        assert self.inputs is not None
        dx, rows, s = self._gradients.take(dy.shape, self.dtype), self._rows(self.inputs), self._states
        space = self.scratch.take(int(self._ops.batch_norm_scratch_size(*rows.shape)), self.dtype)
        constants = s["factor"], s["zeros"], s["mean"], s["ones"], 0.0, False
        self._ops.batch_norm_inference_backward(rows, *constants, self._rows(dy), space, self._rows(dx), *s["unused"])
        return dx

    def _rows(self, x: Array) -> Array:
        return x.reshape(-1, x.shape[-1])

    def _own_config(self) -> dict[str, Any]:
        return {"num_features": self.num_features}
