"""Conv2D: sizes, padding and refusals. Its values are checked through the operations and by central differences."""

import math

import numpy as np
import pytest
from backends import BACKENDS

from fastnn.layers import Conv2D


@pytest.fixture(params=BACKENDS)
def common(request):
    return {"backend": request.param, "dtype": "float64", "seed": 0}


def direct(x, layer, top, left, p, q):
    """The definition, with the padding written out."""
    (sy, sx), (dy, dx) = layer.stride, layer.dilation
    r, s, _, k = layer.weights.shape
    padded = np.zeros((len(x), x.shape[1] + top + 99, x.shape[2] + left + 99, x.shape[3]))
    padded[:, top : top + x.shape[1], left : left + x.shape[2]] = x
    y = np.empty((len(x), p, q, k))
    for i in range(p):
        for j in range(q):
            window = padded[:, i * sy : i * sy + r * dy : dy, j * sx : j * sx + s * dx : dx][:, :r, :s]
            y[:, i, j] = np.tensordot(window, layer.weights, 3) + layer.biases
    return y


@pytest.mark.parametrize("size", [5, 6, 7])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_is_that_of_keras(common, size, kernel, stride, dilation):
    layer = Conv2D(2, 3, kernel, stride=stride, padding="same", dilation=dilation, **common)
    x = np.random.default_rng(0).standard_normal((2, size, size + 1, 2))
    sizes, before = [], []
    for pixels in (size, size + 1):
        out = math.ceil(pixels / stride)
        total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - pixels, 0)
        sizes.append(out)
        before.append(total // 2)
    y = layer.forward(x)
    assert y.shape == (2, *sizes, 3)
    np.testing.assert_allclose(y, direct(x, layer, *before, *sizes), atol=1e-12)


@pytest.mark.parametrize(
    ("padding", "before", "shape"), [("valid", (0, 0), (3, 5)), (1, (1, 1), (5, 7)), ((2, 0), (2, 0), (7, 5))]
)
def test_other_padding(common, padding, before, shape):
    layer = Conv2D(2, 3, 3, padding=padding, **common)
    x = np.random.default_rng(0).standard_normal((2, 5, 7, 2))
    np.testing.assert_allclose(layer.forward(x), direct(x, layer, *before, *shape), atol=1e-12)


def test_depthwise_equals_one_convolution_per_channel(common):
    layer = Conv2D(3, 6, 3, groups=3, **common)
    assert layer.weights.shape == (3, 3, 1, 6)
    x = np.random.default_rng(0).standard_normal((2, 5, 5, 3))
    y = layer.forward(x)
    for channel in range(3):
        single = Conv2D(1, 2, 3, **common)
        single.weights = layer.weights[..., 2 * channel : 2 * channel + 2]
        part = single.forward(x[..., channel : channel + 1])
        np.testing.assert_allclose(y[..., 2 * channel : 2 * channel + 2], part, atol=1e-12)


def test_shapes_and_cost():
    layer = Conv2D(4, 6, (3, 5), stride=(1, 2), groups=2)
    assert layer.output_shape((8, 9, 4)) == (6, 3, 6)
    assert layer.multiply_adds((8, 9, 4)) == 6 * 3 * 6 * 3 * 5 * 2
    assert layer.parameter_count == 3 * 5 * 2 * 6 + 6
    assert [type(size) for size in layer.output_shape(np.array([8, 9, 4]))] == [int, int, int]


def test_in_channels_is_inferred(common):
    layer = Conv2D(out_channels=2, **common)
    assert layer.forward(np.ones((1, 4, 4, 3))).shape == (1, 2, 2, 2)
    assert layer.in_channels == 3


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"kernel_size": 0}, ValueError, "Conv2D: kernel_size must be >= 1, got 0"),
        ({"kernel_size": (1, 2, 3)}, ValueError, "Conv2D: kernel_size must be an integer or a pair of them"),
        ({"kernel_size": "3"}, TypeError, "Conv2D: kernel_size must be an integer, got '3'"),
        ({"stride": (1, 0)}, ValueError, "Conv2D: stride must be >= 1, got 0"),
        ({"padding": "full"}, ValueError, "Conv2D: padding must be one of 'valid', 'same', got 'full'"),
        ({"padding": -1}, ValueError, "Conv2D: padding must be >= 0, got -1"),
        ({"groups": 4}, ValueError, "Conv2D: out_channels must be a multiple of groups, 4, got 6"),
        ({"groups": 3}, ValueError, "Conv2D: in_channels must be a multiple of groups, 3, got 4"),
        ({"out_channels": None}, TypeError, "Conv2D: out_channels must be an integer, got None"),
    ],
)
def test_wrong_constructor_arguments(keywords, error, message):
    with pytest.raises(error, match=f"^{message}"):
        Conv2D(**{"in_channels": 4, "out_channels": 6, **keywords})


def test_wrong_input(common):
    layer = Conv2D(3, 2, 5, **common)
    with pytest.raises(ValueError, match=r"^Conv2D: x must have shape \(N, H, W, 3\), got \(1, 8, 8, 4\)$"):
        layer.forward(np.ones((1, 8, 8, 4)))
    small = r"^Conv2D: x is too small for kernel_size \(5, 5\) with padding 'valid' and dilation \(1, 1\), got 4 x 8"
    with pytest.raises(ValueError, match=small):
        layer.forward(np.ones((1, 4, 8, 3)))
    with pytest.raises(ValueError, match=small):
        layer.build((4, 8, 3))
    grouped = Conv2D(out_channels=2, groups=2, **common)
    with pytest.raises(ValueError, match=r"^Conv2D: in_channels must be a multiple of groups, 2, got 3$"):
        grouped.forward(np.ones((1, 8, 8, 3)))
    assert grouped.in_channels is None
