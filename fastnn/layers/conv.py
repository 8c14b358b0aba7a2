"""Convolution of images."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, Pair, Precision, Shape
from fastnn.initializers import Initializer
from fastnn.layers._base import Layer
from fastnn.layers._linear import Linear

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastnn._typing import Common


class Conv2D(Linear):
    """y[n, p, q, k] = f(sum over r, s, c of x[n, p*stride + r*dilation, q*stride + s*dilation, c] * weights +
    b[k]).

    x (N, H, W, C), weights (R, S, C/groups, K), biases (K,), y (N, P, Q, K). Like every deep-learning library
    this is a cross-correlation: the kernel is not flipped. An integer stands for both directions, a pair is
    (height, width).

    in_channels: C; None takes it from the first input. out_channels: K. kernel_size: (R, S). stride: step
    between windows. dilation: step between the pixels of a window.
    padding: "valid" (none), "same" (P = ceil(H / stride), as in Keras: the odd pixel goes below and right),
    or the number of zero pixels on each side.
    groups: channels are cut into as many groups that do not see each other; groups=C is a depthwise
    convolution. bias: False leaves the biases out. activation, precision, init: see `Linear`. dtype, backend,
    seed: see `Layer`.
    """

    def __init__(
        self,
        in_channels: int | None = None,
        out_channels: int | None = None,
        kernel_size: int | Pair = 3,
        stride: int | Pair = 1,
        padding: str | int | Pair = "valid",
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        activation: str | Layer | dict[str, Any] | None = None,
        init: str | float | Initializer = "he_normal",
        precision: Precision = "full",
        **common: Unpack[Common],
    ) -> None:
        super().__init__(bias=bias, activation=activation, init=init, precision=precision, **common)
        own = type(self).__name__
        self.in_channels = _checks.optional_integer(own, "in_channels", in_channels, 1)
        self.out_channels = _checks.integer(own, "out_channels", out_channels, 1)
        self.kernel_size = _checks.pair(own, "kernel_size", kernel_size, 1)
        self.stride = _checks.pair(own, "stride", stride, 1)
        self.padding: str | Pair = (
            _checks.choice(own, "padding", padding, ("valid", "same"))
            if isinstance(padding, str)
            else _checks.pair(own, "padding", padding, 0)
        )
        self.dilation = _checks.pair(own, "dilation", dilation, 1)
        self.groups = _checks.integer(own, "groups", groups, 1)
        if self.out_channels % self.groups:
            raise ValueError(f"{own}: out_channels must be a multiple of groups, {groups}, got {out_channels}")
        if self.in_channels is not None:
            self._check_groups(self.in_channels)

    def output_shape(self, input_shape: Shape) -> Shape:
        h, w, c = super().output_shape(input_shape)
        self._check_groups(c)
        return (*self._frame(h, w)[1], self.out_channels)

    def multiply_adds(self, input_shape: Shape) -> int:
        return prod(self.output_shape(input_shape)) * prod(self.kernel_size) * input_shape[2] // self.groups

    def _check_groups(self, channels: int) -> None:
        if channels % self.groups:
            own = type(self).__name__
            raise ValueError(f"{own}: in_channels must be a multiple of groups, {self.groups}, got {channels}")

    def _frame(self, h: int, w: int) -> tuple[Pair, Pair]:
        """(top, left) padding and (P, Q) of the output for images of h by w pixels."""
        top, p = self._along(0, h)
        left, q = self._along(1, w)
        if p < 1 or q < 1:
            raise ValueError(
                f"{type(self).__name__}: x is too small for kernel_size {self.kernel_size} with padding "
                f"{self.padding!r} and dilation {self.dilation}, got {h} x {w} pixels"
            )
        return (top, left), (p, q)

    def _along(self, axis: int, size: int) -> tuple[int, int]:
        """Padding before, and output size, along one axis."""
        stride, span = self.stride[axis], (self.kernel_size[axis] - 1) * self.dilation[axis] + 1
        if self.padding == "same":
            out = -(-size // stride)
            return max((out - 1) * stride + span - size, 0) // 2, out
        before = self.padding[axis] if isinstance(self.padding, tuple) else 0
        return before, (size + 2 * before - span) // stride + 1

    def _axes(self) -> _checks.Axes:
        return ("N", "H", "W", "C" if self.in_channels is None else self.in_channels)

    def _shapes(self) -> dict[str, Shape]:
        assert self.in_channels is not None
        channels = self.in_channels // self.groups
        shapes: dict[str, Shape] = {"weights": (*self.kernel_size, channels, self.out_channels)}
        return shapes | {"biases": (self.out_channels,)} if self.bias else shapes

    def _is_known(self) -> bool:
        return self.in_channels is not None

    def _infer(self, input_shape: Shape) -> None:
        if self.in_channels is None:
            self._check_groups(input_shape[2])
            self.in_channels = int(input_shape[2])

    def _product_shape(self, x: Array) -> Shape:
        return (x.shape[0], *self._frame(x.shape[1], x.shape[2])[1], self.out_channels)

    def _scratch_size(self, x: Array, y_shape: Shape) -> int:
        return int(self._products.conv2d_scratch_size(x.shape, self.weights.shape, y_shape, *self._placing(x.shape)))

    def _placing(self, x_shape: Shape) -> tuple[Pair, Pair, Pair, int]:
        return self.stride, self._frame(x_shape[1], x_shape[2])[0], self.dilation, self.groups

    def _product(self, x: Array, biases: Array, code: int, alpha: float, scratch: Array, y: Array) -> None:
        self._products.conv2d_forward(x, self.weights, biases, *self._placing(x.shape), code, alpha, scratch, y)

    def _weight_gradient(self, x: Array, dz: Array, scratch: Array, dbiases: Array) -> None:
        self._products.conv2d_weight_gradient(x, dz, *self._placing(x.shape), scratch, self.dweights, dbiases)

    def _input_gradient(self, dz: Array, scratch: Array, dx: Array) -> None:
        self._products.conv2d_input_gradient(dz, self.weights, *self._placing(dx.shape), scratch, dx)

    # With the pooling and ReLU after it, for `fastnn._fusion`

    def pooled_scratch_size(self, x_shape: Shape, y_shape: Shape, itemsize: int, inner: bool) -> int:
        """What all three want; -1 where the layers on their own are faster, or round otherwise."""
        size = int(self._ops.conv2d_pool_scratch_size(x_shape, self.weights.shape, y_shape, itemsize, inner))
        rounded = self.precision != "full" and (self.backend == "numpy" or (inner and size > 0))
        return -1 if rounded else size

    def pooled_forward(self, x: Array, rectify: bool, scratch_size: int, index: Array, y: Array) -> None:
        """y = the largest of each 2x2 outputs and, with `rectify`, 0; stride, dilation and groups are 1."""
        biases = self._array("biases") if self.bias else np.empty(0, self.dtype)
        scratch = self.scratch.take(scratch_size, self.dtype)
        padding = self._frame(x.shape[1], x.shape[2])[0]
        self._ops.conv2d_pool_forward(x, self.weights, biases, padding, rectify, scratch, index, y)

    def has_pooled_inference(self, x_shape: Shape, y_shape: Shape, itemsize: int) -> bool:
        """Whether there is a `pooled_inference` for few images."""
        full = self.precision == "full"
        return full and bool(self._ops.has_conv2d_pool_inference(x_shape, self.weights.shape, y_shape, itemsize))

    def pooled_inference(self, x: Array, rectify: bool, y: Array) -> None:
        """y alone, as of `pooled_forward`."""
        biases = self._array("biases") if self.bias else np.empty(0, self.dtype)
        padding = self._frame(x.shape[1], x.shape[2])[0]
        self._ops.conv2d_pool_inference(x, self.weights, biases, padding, rectify, y)

    def pooled_gradients(self, x: Array, index: Array, dy: Array, scratch_size: int) -> Array | None:
        """The gradients of weights and biases, and of x if it is wanted."""
        scratch = self.scratch.take(scratch_size, self.dtype)
        dbiases = self._array("dbiases") if self.bias else np.empty(0, self.dtype)
        padding = self._frame(x.shape[1], x.shape[2])[0]
        self._ops.conv2d_pool_weight_gradient(x, index, dy, padding, scratch, self.dweights, dbiases)
        if not self.needs_input_gradient:
            return None
        dx = self._gradients.take(x.shape, self.dtype)
        self._ops.conv2d_pool_input_gradient(index, dy, self.weights, padding, scratch, dx)
        return dx

    def _own_config(self) -> dict[str, Any]:
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "kernel_size": list(self.kernel_size),
            "stride": list(self.stride),
            "padding": self.padding if isinstance(self.padding, str) else list(self.padding),
            "dilation": list(self.dilation),
            "groups": self.groups,
            **super()._own_config(),
        }
