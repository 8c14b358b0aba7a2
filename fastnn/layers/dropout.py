"""Dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._backend import live
from fastnn._typing import Array, ArrayLike
from fastnn.layers._base import Layer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastnn._typing import Common


class Dropout(Layer):
    """Sets each element to 0 with probability rate and divides the others by 1 - rate, in training mode only.

    (Srivastava et al. 2014, in the inverted form: inference needs no scaling.) rate: 0 <= rate < 1. x (N,
    ...). The same seed gives the same masks: element i of a call is dropped by a hash of i and the call's
    key, so neither the number of threads nor the backend matters. backward drops the same elements without a
    stored mask.
    """

    def __init__(self, rate: float = 0.5, **common: Unpack[Common]) -> None:
        super().__init__(**common)
        self.rate = _checks.number("Dropout", "rate", rate, minimum=0, below=1)
        self._rng: np.random.Generator | None = None
        self._key: int | None = None

    def _forward(self, x: Array) -> Array:
        self._key = None
        if not self.training or self.rate == 0:
            return x
        if self._rng is None:
            self._rng = np.random.default_rng(self.seed)
        rng = self._rng
        self._key = live(int(rng.integers(2**63)), lambda steps: rng.integers(2**63, size=steps))
        y = self._outputs.take(x.shape, self.dtype)
        self._ops.dropout_forward(self.rate, self._key, x.reshape(-1), y.reshape(-1))
        return y

    def _recall(self, x: ArrayLike) -> None:
        if self.output is None:
            super()._recall(x)  # else the last mask counts, and the gradient does not depend on x

    def _backward(self, dy: Array) -> Array:
        if self._key is None:
            return dy
        dx = self._gradients.take(dy.shape, self.dtype)
        self._ops.dropout_backward(self.rate, self._key, dy.reshape(-1), dx.reshape(-1))
        return dx

    def _own_config(self) -> dict[str, Any]:
        return {"rate": self.rate}
