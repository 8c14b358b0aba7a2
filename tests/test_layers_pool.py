"""Pooling: sizes by PyTorch's rule, and refusals."""

import numpy as np
import pytest
from backends import BACKENDS

from fastnn.layers import AvgPool2D, GlobalAvgPool2D, MaxPool2D


@pytest.fixture(params=BACKENDS)
def common(request):
    return {"backend": request.param, "dtype": "float64"}


# (pixels, pool_size, stride, padding, ceil_mode) -> output size; what torch.nn.MaxPool2d gives.
SIZES = [
    (6, 2, None, 0, False, 3),
    (7, 2, None, 0, False, 3),
    (7, 2, None, 0, True, 4),
    (7, 3, 2, 0, False, 3),
    (8, 3, 2, 0, False, 3),
    (8, 3, 2, 0, True, 4),
    (8, 3, 2, 1, True, 5),
    (7, 3, 2, 1, True, 4),
    (5, 2, 2, 1, True, 3),  # the fourth window would start in the padding after the image
    (4, 2, 3, 1, True, 2),
    (5, 2, 3, 0, True, 2),
    (1, 2, 2, 1, True, 1),
]


@pytest.mark.parametrize(("pixels", "pool_size", "stride", "padding", "ceil_mode", "size"), SIZES)
@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D])
def test_output_sizes(kind, pixels, pool_size, stride, padding, ceil_mode, size, common):
    layer = kind(pool_size, stride, padding, ceil_mode, **common)
    assert layer.output_shape((pixels, pixels, 3)) == (size, size, 3)
    assert layer.forward(np.ones((2, pixels, pixels, 3))).shape == (2, size, size, 3)


def test_max_of_known_windows(common):
    x = np.array([[1, 5, 2], [4, 5, 9], [7, 8, 3]], float).reshape(1, 3, 3, 1)
    layer = MaxPool2D(2, stride=1, **common)
    np.testing.assert_array_equal(layer.forward(x)[0, :, :, 0], [[5, 9], [8, 9]])
    dx = layer.backward(np.array([[1, 2], [4, 8]], float).reshape(1, 2, 2, 1))
    np.testing.assert_array_equal(dx[0, :, :, 0], [[0, 1, 0], [0, 0, 10], [0, 4, 0]])


def test_padding_is_never_the_maximum(common):
    x = -np.ones((1, 2, 2, 1))
    assert (MaxPool2D(2, padding=1, **common).forward(x) == -1).all()


def test_padding_in_the_mean(common):
    x = np.ones((1, 2, 2, 1))
    np.testing.assert_allclose(AvgPool2D(2, padding=1, **common).forward(x), 0.25)
    np.testing.assert_allclose(AvgPool2D(2, padding=1, count_include_pad=False, **common).forward(x), 1)
    ceil = AvgPool2D(2, ceil_mode=True, **common).forward(np.ones((1, 3, 3, 1)))
    np.testing.assert_allclose(ceil, 1)  # pixels past the padded image do not count


def test_global_mean(common):
    x = np.arange(24.0).reshape(2, 2, 3, 2)
    layer = GlobalAvgPool2D(**common)
    np.testing.assert_allclose(layer.forward(x), x.mean(axis=(1, 2)))
    assert layer.output_shape((2, 3, 2)) == (2,)


@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D])
def test_refusals(kind):
    name = kind.__name__
    with pytest.raises(ValueError, match=f"^{name}: padding must be at most half of pool_size"):
        kind(2, padding=2)
    with pytest.raises(ValueError, match=f"^{name}: pool_size must hold at most 65536 pixels"):
        kind(257)
    with pytest.raises(TypeError, match=f"^{name}: ceil_mode must be True or False, got int$"):
        kind(2, ceil_mode=1)
    with pytest.raises(ValueError, match=rf"^{name}: x is too small for pool_size \(4, 4\) .* got 3 x 9 pixels$"):
        kind(4, backend="numpy").forward(np.ones((1, 3, 9, 1)))
    with pytest.raises(ValueError, match=rf"^{name}: x must have shape \(N, H, W, C\), got \(1, 3, 9\)$"):
        kind(4, backend="numpy").forward(np.ones((1, 3, 9)))
