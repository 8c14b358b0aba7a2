"""BatchNorm: running statistics and modes."""

import gradients
import numpy as np
import pytest
from backends import BACKENDS

from fastnn.layers import BatchNorm


@pytest.fixture(params=BACKENDS)
def common(request):
    return {"backend": request.param, "dtype": "float64"}


def images(seed=0):
    return 3 + 2 * np.random.default_rng(seed).standard_normal((4, 3, 2, 5))


def test_training_uses_and_follows_the_batch(common):
    x = images()
    layer = BatchNorm(5, momentum=0.25, **common)
    y = layer.forward(x)
    mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5), atol=1e-12)
    np.testing.assert_allclose(layer.running_mean, 0.25 * mean)
    np.testing.assert_allclose(layer.running_var, 0.75 + 0.25 * var * 24 / 23)


def test_inference_uses_the_running_ones_and_leaves_them(common):
    layer = BatchNorm(5, **common)
    layer.running_mean = np.arange(5.0)
    layer.running_var = 1 + np.arange(5.0)
    layer.gamma, layer.beta = np.full(5, 2.0), np.ones((1, 5))
    layer.eval()
    x = images()
    expected = 2 * (x - np.arange(5)) / np.sqrt(1 + np.arange(5) + 1e-5) + 1
    np.testing.assert_allclose(layer.forward(x), expected, atol=1e-12)
    np.testing.assert_array_equal(layer.running_mean, np.arange(5))
    gradients.check_layer(layer, x)


def test_backward_belongs_to_its_forward(common):
    """Not to the mode or the running statistics of the moment."""
    x, dy = images(), images(1)
    plain, switched = BatchNorm(5, **common), BatchNorm(5, **common)
    for layer in (plain, switched):
        layer.forward(x)
    switched.eval()
    switched.running_mean = np.ones(5)
    np.testing.assert_array_equal(switched.backward(dy), plain.backward(dy))
    for layer in (plain, switched):
        layer.eval()
        layer.running_mean = np.zeros(5)
        layer.running_var = np.ones(5)
        layer.forward(x)
    switched.running_var = np.full(5, 9.0)
    np.testing.assert_array_equal(switched.backward(dy), plain.backward(dy))


def test_running_statistics_see_each_batch_once(common):
    layer, twin = BatchNorm(5, **common), BatchNorm(5, **common)
    for one in (layer, twin):
        one.forward(images())
    layer.backward(images(2), images(1))
    np.testing.assert_array_equal(layer.running_mean, twin.running_mean)
    np.testing.assert_array_equal(layer.running_var, twin.running_var)


def test_one_value_per_channel_says_nothing(common):
    layer = BatchNorm(3, **common)
    np.testing.assert_array_equal(layer.forward([[1.0, 2, 3]]), np.zeros((1, 3)))
    np.testing.assert_array_equal(layer.running_var, np.ones(3))
    np.testing.assert_array_equal(layer.running_mean, np.zeros(3))


def test_states_and_their_dtype(common):
    layer = BatchNorm(3, **common)
    assert list(layer.named_states()) == ["running_mean", "running_var"]
    assert layer.parameter_count == 6
    layer.running_mean = [1, 2, 3]
    layer.place(dtype="float32")
    assert layer.running_mean.dtype == np.float32
    np.testing.assert_array_equal(layer.running_mean, [1, 2, 3])


def test_refusals(common):
    with pytest.raises(ValueError, match=r"^BatchNorm: x must have 5 channels \(last axis\), got \(2, 4\)$"):
        BatchNorm(5, **common).forward(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"^BatchNorm: x must have shape \(N, C, \.\.\.\), got \(2,\)$"):
        BatchNorm(5, **common).forward(np.ones(2))
    with pytest.raises(ValueError, match=r"^BatchNorm: input_shape must have 5 channels"):
        BatchNorm(5, **common).build((3, 3, 4))
    with pytest.raises(ValueError, match="^BatchNorm: momentum must be >= 0 and <= 1, got 2$"):
        BatchNorm(5, momentum=2)
    with pytest.raises(ValueError, match="^BatchNorm: eps must be > 0, got 0$"):
        BatchNorm(5, eps=0)
