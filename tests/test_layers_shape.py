"""Flatten and Reshape."""

import numpy as np
import pytest

from fastnn.layers import Flatten, Reshape


def test_flatten_keeps_the_memory_order():
    x = np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2)
    layer = Flatten(backend="numpy")
    y = layer.forward(x)
    assert np.shares_memory(x, y)
    np.testing.assert_array_equal(y, x.reshape(2, 12))
    np.testing.assert_array_equal(layer.backward(y), x)
    assert layer.output_shape((2, 3, 2)) == (12,)
    assert Flatten().output_shape(()) == (1,)


def test_reshape():
    x = np.arange(24, dtype=np.float32).reshape(2, 12)
    layer = Reshape((2, -1, 3), backend="numpy")
    assert layer.forward(x).shape == (2, 2, 2, 3)
    assert layer.backward(layer.output).shape == (2, 12)
    assert layer.output_shape((12,)) == (2, 2, 3)
    assert Reshape([12]).output_shape((2, 3, 2)) == (12,)


def test_reshape_refusals():
    with pytest.raises(ValueError, match=r"^Reshape: x must have samples that fit \(5, -1\), got \(12,\)$"):
        Reshape((5, -1), backend="numpy").forward(np.ones((2, 12)))
    with pytest.raises(ValueError, match=r"^Reshape: x must have samples that fit \(3, 2\), got \(12,\)$"):
        Reshape((3, 2)).build((12,))
    for shape in ((-1, -1), (0, 2)):
        with pytest.raises(ValueError, match="^Reshape: shape must be of sizes > 0, at most one of them -1"):
            Reshape(shape)
    with pytest.raises(TypeError, match="^Reshape: shape must be an integer, got float$"):
        Reshape((2.0,))
