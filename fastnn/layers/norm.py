"""Batch normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, ArrayLike, Shape
from fastnn.layers._base import Layer
from fastnn.layers._parameters import Parameter

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastnn._typing import Common


class BatchNorm(Layer):
    """y = gamma * (x - mean) / sqrt(var + eps) + beta for each channel (Ioffe & Szegedy 2015,
    arXiv:1502.03167).

    x (N, C) or (N, H, W, C), or any (N, ..., C): mean and var of a channel are taken over all other axes.
    In training mode they are the batch's own (var biased), and the running ones move towards them:
    running = (1 - momentum) * running + momentum * batch's (var unbiased), as in PyTorch. In inference mode,
    after `eval()`, they are the running ones. A batch with one value per channel says nothing of the variance
    and leaves the running ones alone.

    num_features: C; None takes it from the first input. momentum: 0..1. eps: > 0.
    Parameters gamma (C,) from 1, beta (C,) from 0; states running_mean (C,) from 0, running_var (C,) from 1.
    """

    parameter_names = ("gamma", "beta")
    state_names = ("running_mean", "running_var")

    gamma = Parameter()
    beta = Parameter()
    dgamma = Parameter()
    dbeta = Parameter()
    running_mean = Parameter()
    running_var = Parameter()

    def __init__(
        self,
        num_features: int | None = None,
        momentum: float = 0.1,
        eps: float = 1e-5,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        own = type(self).__name__
        self.num_features = _checks.optional_integer(own, "num_features", num_features, 1)
        self.momentum = _checks.number(own, "momentum", momentum, minimum=0, maximum=1)
        self.eps = _checks.number(own, "eps", eps, above=0)
        self._own_statistics = True
        self._follows = True

    def output_shape(self, input_shape: Shape) -> Shape:
        shape = super().output_shape(input_shape)
        self._check_channels("input_shape", shape, shape)
        return shape

    def _check_channels(self, name: str, channels: Shape, received: Shape) -> None:
        if self.num_features is not None and channels[-1] != self.num_features:
            raise ValueError(f"BatchNorm: {name} must have {self.num_features} channels (last axis), got {received}")

    def _axes(self) -> _checks.Axes:
        return ("N", "C", ...)

    def _door(self, x: ArrayLike) -> Array:
        checked = super()._door(x)
        self._check_channels("x", checked.shape, checked.shape)
        return checked

    def _shapes(self) -> dict[str, Shape]:
        assert self.num_features is not None
        return {"gamma": (self.num_features,), "beta": (self.num_features,)}

    def _is_known(self) -> bool:
        return self.num_features is not None

    def _infer(self, input_shape: Shape) -> None:
        if self.num_features is None:
            self.num_features = int(input_shape[-1])

    def _initialise(self, rng: np.random.Generator) -> None:
        self.gamma[:] = 1
        self._states = {
            "running_mean": np.zeros(self.gamma.shape, self.dtype),
            "running_var": np.ones(self.gamma.shape, self.dtype),
            # What the last forward used: backward differentiates that, whatever the running ones are by then.
            "used_mean": np.zeros(self.gamma.shape, self.dtype),
            "used_var": np.zeros(self.gamma.shape, self.dtype),
        }

    def _forward(self, x: Array) -> Array:
        return self.normalised(x)

    def normalised(self, x: Array, skip: Array | None = None, rectify: bool = False) -> Array:
        """The output for checked x, plus `skip` of the same shape, and through ReLU: see `_fusion.py`."""
        y = self._outputs.take(x.shape, self.dtype)
        rows, out = self._rows(x), self._rows(y)
        added = rows[:0] if skip is None else self._rows(skip)
        mean, var = self._array("used_mean"), self._states["used_var"]
        gamma, beta = self.gamma, self.beta
        self._own_statistics = self.training
        if self.training:
            space = self._space(rows)
            self._ops.batch_norm_forward(rows, gamma, beta, self.eps, added, rectify, space, mean, var, out)
            if self._follows and len(rows) > 1:
                self._ops.batch_norm_follow(
                    len(rows), self.momentum, mean, var, self._states["running_mean"], self._states["running_var"]
                )
        else:
            running = self._states["running_mean"], self._states["running_var"]
            mean[:], var[:] = running  # for backward
            self._ops.batch_norm_inference(rows, gamma, beta, *running, self.eps, added, rectify, out)
        return y

    def _recall(self, x: ArrayLike) -> None:
        self._follows = False
        try:
            super()._recall(x)
        finally:
            self._follows = True

    def _backward(self, dy: Array) -> Array:
        assert self.inputs is not None
        return self.gradient(self.inputs, dy)

    def gradient(self, x: Array, dy: Array, rectified: bool = False) -> Array:
        """dx, after `normalised` of x without skip; sets dgamma and dbeta. dy: of ReLU's output, if `rectified`."""
        dx = self._gradients.take(dy.shape, self.dtype)
        rows, out = self._rows(x), self._rows(dx)
        ops = self._ops
        backward = ops.batch_norm_backward if self._own_statistics else ops.batch_norm_inference_backward
        backward(
            rows,
            self.gamma,
            self.beta,
            self._array("used_mean"),
            self._array("used_var"),
            self.eps,
            rectified,
            self._rows(dy),
            self._space(rows),
            out,
            self.dgamma,
            self.dbeta,
        )
        return dx

    def _rows(self, x: Array) -> Array:
        return x.reshape(-1, x.shape[-1])

    def _space(self, rows: Array) -> Array:
        return self.scratch.take(int(self._ops.batch_norm_scratch_size(*rows.shape)), self.dtype)

    def _own_config(self) -> dict[str, Any]:
        return {"num_features": self.num_features, "momentum": self.momentum, "eps": self.eps}
