"""Pooling of images x (N, H, W, C) to y (N, P, Q, C)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, Pair, Shape
from fastnn.layers._base import Layer
from fastnn.layers._buffers import Buffer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastnn._typing import Common

# A maximum's place in its window is kept as uint16.
_LARGEST_WINDOW = 2**16


class _Pool2D(Layer):
    """The windows of MaxPool2D and AvgPool2D."""

    def __init__(
        self,
        pool_size: int | Pair = 2,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        own = type(self).__name__
        self.pool_size = _checks.pair(own, "pool_size", pool_size, 1)
        if self.pool_size[0] * self.pool_size[1] > _LARGEST_WINDOW:
            raise ValueError(f"{own}: pool_size must hold at most {_LARGEST_WINDOW} pixels, got {self.pool_size}")
        self.stride = self.pool_size if stride is None else _checks.pair(own, "stride", stride, 1)
        self.padding = _checks.pair(own, "padding", padding, 0)
        if any(2 * before > size for before, size in zip(self.padding, self.pool_size, strict=True)):
            raise ValueError(f"{own}: padding must be at most half of pool_size {self.pool_size}, got {self.padding}")
        self.ceil_mode = _checks.flag(own, "ceil_mode", ceil_mode)

    def output_shape(self, input_shape: Shape) -> Shape:
        h, w, c = super().output_shape(input_shape)
        return (*self._grid(h, w), c)

    def _grid(self, h: int, w: int) -> Pair:
        """(P, Q) for images of h by w pixels."""
        p, q = self._along(0, h), self._along(1, w)
        if p < 1 or q < 1:
            raise ValueError(
                f"{type(self).__name__}: x is too small for pool_size {self.pool_size} with padding "
                f"{self.padding}, got {h} x {w} pixels"
            )
        return p, q

    def _along(self, axis: int, size: int) -> int:
        """Output size along one axis; 0 or less when not even one window fits."""
        window, stride, before = self.pool_size[axis], self.stride[axis], self.padding[axis]
        rest = size + 2 * before - window
        if rest < 0 or not self.ceil_mode:
            return rest // stride + 1
        windows = -(-rest // stride) + 1
        return windows - 1 if (windows - 1) * stride >= size + before else windows

    def _output_axes(self, x: Array) -> Shape:
        n, h, w, c = x.shape
        return (n, *self._grid(h, w), c)

    def _axes(self) -> _checks.Axes:
        return ("N", "H", "W", "C")

    def _own_config(self) -> dict[str, Any]:
        return {
            "pool_size": list(self.pool_size),
            "stride": list(self.stride),
            "padding": list(self.padding),
            "ceil_mode": self.ceil_mode,
        }


class MaxPool2D(_Pool2D):
    """The largest value of each window; the gradient goes to the first largest one. Padding is never largest.

    pool_size: (height, width) of a window, or one integer for both, as in stride and padding. stride: step
    between windows; None: pool_size. padding: pixels on each side, at most half of pool_size. ceil_mode: a
    last window may reach past the padded image if it starts inside the image or the padding before it
    (PyTorch's rule); otherwise what is left over at the end is not read.
    """

    def __init__(
        self,
        pool_size: int | Pair = 2,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(pool_size, stride, padding, ceil_mode, **common)
        self._indices = Buffer()
        self._index: Array | None = None

    def release(self) -> None:
        super().release()
        self._index = None

    def _forward(self, x: Array) -> Array:
        shape = self._output_axes(x)
        self._index = self._indices.take(shape, np.dtype(np.uint16))
        y = self._outputs.take(shape, self.dtype)
        self._ops.max_pool2d_forward(x, self.pool_size, self.stride, self.padding, self._index, y)
        return y

    def _backward(self, dy: Array) -> Array:
        assert self.inputs is not None
        assert self._index is not None
        dx = self._gradients.take(self.inputs.shape, self.dtype)
        self.spread(self._index, dy, dx)
        return dx

    def spread(self, index: Array, dy: Array, dx: Array) -> None:
        """dx = dy at the pixels that index names, else 0."""
        self._ops.max_pool2d_backward(index, dy, self.pool_size, self.stride, self.padding, dx)


class AvgPool2D(_Pool2D):
    """The mean of each window.

    pool_size: (height, width) of a window, or one integer for both, as in stride and padding. stride: step
    between windows; None: pool_size. padding: pixels on each side, at most half of pool_size. ceil_mode: a
    last window may reach past the padded image if it starts inside the image or the padding before it
    (PyTorch's rule); otherwise what is left over at the end is not read.
    count_include_pad: whether pixels of the padding, which are 0, count in the mean.
    """

    def __init__(
        self,
        pool_size: int | Pair = 2,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(pool_size, stride, padding, ceil_mode, **common)
        self.count_include_pad = _checks.flag("AvgPool2D", "count_include_pad", count_include_pad)

    def _forward(self, x: Array) -> Array:
        y = self._outputs.take(self._output_axes(x), self.dtype)
        self._ops.avg_pool2d_forward(x, self.pool_size, self.stride, self.padding, self.count_include_pad, y)
        return y

    def _backward(self, dy: Array) -> Array:
        assert self.inputs is not None
        dx = self._gradients.take(self.inputs.shape, self.dtype)
        self._ops.avg_pool2d_backward(dy, self.pool_size, self.stride, self.padding, self.count_include_pad, dx)
        return dx

    def _own_config(self) -> dict[str, Any]:
        return {**super()._own_config(), "count_include_pad": self.count_include_pad}


class GlobalAvgPool2D(Layer):
    """The mean of each channel over the whole image: x (N, H, W, C) to y (N, C)."""

    def output_shape(self, input_shape: Shape) -> Shape:
        return super().output_shape(input_shape)[-1:]

    def _axes(self) -> _checks.Axes:
        return ("N", "H", "W", "C")

    def _forward(self, x: Array) -> Array:
        y = self._outputs.take((x.shape[0], x.shape[3]), self.dtype)
        self._ops.global_avg_pool2d_forward(x, y)
        return y

    def _backward(self, dy: Array) -> Array:
        assert self.inputs is not None
        dx = self._gradients.take(self.inputs.shape, self.dtype)
        self._ops.global_avg_pool2d_backward(dy, dx)
        return dx
