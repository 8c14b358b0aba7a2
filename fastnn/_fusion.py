"""The layers of a network as its steps run them: the same numbers in fewer passes over memory."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np

from fastnn._typing import Array
from fastnn.layers import BatchNorm, Conv2D, Dense, Layer, MaxPool2D, ReLU, Residual
from fastnn.layers._buffers import Buffer
from fastnn.layers._linear import Linear
from fastnn.layers.activation import Elementwise


def fused(layers: Sequence[Layer]) -> list[Layer]:
    """The layers with ReLU after max pooling, and activations as part of what stands before them.

    That is a dense layer or a convolution, or for ReLU batch norm or a skip connection that ends with it: a step of the
    ResNet of `fastnn bench` in 61.5 ms instead of 68 (two threads). ReLU keeps the order of numbers, so after the
    pooling it does the same on a quarter of them: its passes in a step of the CNN 32-64-128 on 64 images took 1.2 ms of
    9.5, and take 0.2. A convolution takes the pooling and the ReLU after it. Between two dense layers the second's
    input gradient has ReLU's slope in it. The parameters stay those of the given layers.
    """
    ordered = list(layers)
    for i in range(len(ordered) - 1):
        if type(ordered[i]) is ReLU and type(ordered[i + 1]) is MaxPool2D and not (i and _takes_relu(ordered[i - 1])):
            ordered[i], ordered[i + 1] = ordered[i + 1], ordered[i]
    result: list[Layer] = []
    for layer in ordered:
        before = result[-1] if result else None
        if (
            isinstance(before, Linear)
            and type(before) in (Dense, Conv2D)
            and before.activation is None
            and isinstance(layer, Elementwise)
            and layer.from_output
        ):
            result[-1] = joined = _step_copy(before)
            joined.activation = layer
        elif type(layer) is ReLU and isinstance(before, BatchNorm) and _takes_relu(before):
            result[-1] = _NormReLU(before)
        elif type(layer) is ReLU and isinstance(before, _Skip) and before.relu is None and before.norm is not None:
            before.relu = layer
        else:
            result.append(_Skip(layer) if isinstance(layer, Residual) and type(layer) is Residual else layer)
    for i in range(1, len(result)):
        before, layer = result[i - 1 : i + 1]
        if type(before) is Dense and type(before.activation) is ReLU and type(layer) is Dense:
            first, second = (_step_copy(one) if one in ordered else one for one in (before, layer))
            first.sloped = second.rectified = True
            result[i - 1 : i + 1] = first, second
    for i in range(len(result) - 1, 0, -1):
        conv, pool = result[i - 1 : i + 1]
        if type(conv) is Conv2D and type(pool) is MaxPool2D and _is_pooled(conv, pool):
            relu = [layer for layer in result[i + 1 : i + 2] if type(layer) is ReLU]
            result[i - 1 : i + 1 + len(relu)] = [_ConvPool(conv, pool, relu)]
    return result


def _step_copy(layer: Linear) -> Linear:
    """The layer as the steps run it, with the same arrays of parameters."""
    layer.twin = own = copy(layer)
    own.twin = None
    return own


def _is_pooled(conv: Conv2D, pool: MaxPool2D) -> bool:
    """Whether _ConvPool can do both."""
    products = conv.stride == conv.dilation == (1, 1) and conv.groups == 1
    windows = pool.pool_size == pool.stride == (2, 2) and pool.padding == (0, 0) and not pool.ceil_mode
    return products and windows and (conv.activation is None or type(conv.activation) is ReLU)


def _takes_relu(layer: Layer) -> bool:
    return type(layer) is BatchNorm


class _ConvPool(Layer):
    """A convolution with the pooling and the ReLU after it: their arrays are never in memory.

    That is, but for the gradient of the outputs of a convolution of few channels whose input has one. Shapes for which
    there are no such operations go through the layers themselves.
    """

    def __init__(self, conv: Conv2D, pool: MaxPool2D, relu: Sequence[Layer]) -> None:
        super().__init__(dtype=conv.dtype)
        self._conv, self._pool, self._layers = conv, pool, [conv, pool, *relu]
        self._needs_input_gradient = conv.needs_input_gradient
        self.parameter_names = conv.parameter_names
        self._rectify = bool(relu) or conv.activation is not None
        self._scratch_size = -1
        self._indices = Buffer()
        self._index: Array | None = None

    @property
    def parameter_count(self) -> int:
        return self._conv.parameter_count

    def release(self) -> None:
        super().release()
        self._index = None
        for layer in self._layers:
            layer.release()

    def _forward(self, x: Array) -> Array:
        shape = (len(x), *self._pool.output_shape(self._conv.output_shape(x.shape[1:])))
        if not self._pool.training and self._conv.has_pooled_inference(x.shape, shape, x.itemsize):
            y = self._outputs.take(shape, x.dtype)
            self._conv.pooled_inference(x, self._rectify, y)
            return y
        inner = self._needs_input_gradient
        self._scratch_size = self._conv.pooled_scratch_size(x.shape, shape, x.itemsize, inner)
        if self._scratch_size < 0:
            y = x
            for layer in self._layers:
                y = layer.forward_checked(y, y)
            return y
        self._index = self._indices.take(shape, np.dtype(np.uint16))
        y = self._outputs.take(shape, x.dtype)
        self._conv.pooled_forward(x, self._rectify, self._scratch_size, self._index, y)
        return y

    def _backward(self, dy: Array) -> Array | None:
        dx: Array | None = dy
        if self._index is None:
            for layer in reversed(self._layers):
                assert dx is not None
                dx = layer.backward_checked(dx)
            return dx
        x = self.inputs
        assert x is not None
        if self._scratch_size > 0 or not self._needs_input_gradient:
            return self._conv.pooled_gradients(x, self._index, dy, self._scratch_size)
        dz = self._gradients.take((len(x), *self._conv.output_shape(x.shape[1:])), x.dtype)
        self._pool.spread(self._index, dy, dz)
        return self._conv.product_gradients(x, dz)


class _NormReLU(Layer):
    """Batch norm with the ReLU that follows: no pass of its own in either direction."""

    parameter_names = BatchNorm.parameter_names

    def __init__(self, norm: BatchNorm) -> None:
        super().__init__(dtype=norm.dtype)
        self._norm, self._needs_input_gradient = norm, norm.needs_input_gradient

    @property
    def parameter_count(self) -> int:
        return self._norm.parameter_count

    def _forward(self, x: Array) -> Array:
        return self._norm.normalised(x, rectify=True)

    def _backward(self, dy: Array) -> Array:
        assert self.inputs is not None
        return self._norm.gradient(self.inputs, dy, rectified=True)


class _Skip(Layer):
    """A skip connection of fused layers; batch norm at their end does the sum, and the ReLU that follows the sum."""

    def __init__(self, residual: Residual) -> None:
        super().__init__(dtype=residual.dtype)
        self._residual, self._needs_input_gradient = residual, residual.needs_input_gradient
        self.parameter_names = residual.parameter_names
        self._steps = fused(residual.layers)
        last = self._steps[-1]
        self.norm = last if isinstance(last, BatchNorm) and type(last) is BatchNorm else None
        self.relu: ReLU | None = None

    @property
    def parameter_count(self) -> int:
        return self._residual.parameter_count

    def release(self) -> None:
        super().release()
        for layer in (*self._steps, *([] if self.relu is None else [self.relu])):
            layer.release()

    def _forward(self, x: Array) -> Array:
        y, norm = x, self.norm
        for layer in self._steps if norm is None else self._steps[:-1]:
            y = layer.forward_checked(y, y)
        if norm is None:
            return self._residual.sum(x, y)
        self._residual.check_shape(x, y)
        norm.inputs, norm.output = y, norm.normalised(y, x, self.relu is not None)
        return norm.output

    def _backward(self, dy: Array) -> Array | None:
        if self.relu is not None:
            dy = self.relu.backward_from(None, self.output, dy)
        return self._residual.gradient(self._steps, dy, self.needs_input_gradient)
