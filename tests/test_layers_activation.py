"""Activations: values, stability, constructors."""

import math

import numpy as np
import pytest
from backends import BACKENDS

from fastnn import layers

X = np.array([[-1000.0, -3, -1, -0.1, 0, 0.1, 1, 3, 1000]])
ERF = np.array([[math.erf(x / math.sqrt(2)) for x in X[0]]])

VALUES = {
    "ReLU": np.maximum(X, 0),
    "LeakyReLU": np.where(X > 0, X, 0.01 * X),
    "ELU": np.where(X > 0, X, np.expm1(np.minimum(X, 0))),
    "GELU": X * (1 + ERF) / 2,
    "SiLU": X * np.exp(-np.logaddexp(0, -X)),
    "Softplus": np.logaddexp(0, X),
    "Sigmoid": np.exp(-np.logaddexp(0, -X)),
    "Tanh": np.tanh(X),
    "Softmax": np.array([[0, 0, 0, 0, 0, 0, 0, 0, 1.0]]),
    "LogSoftmax": X - 1000,
}


@pytest.fixture(params=BACKENDS)
def common(request):
    return {"backend": request.param, "dtype": "float64"}


@pytest.mark.parametrize("name", VALUES)
def test_values_near_and_far_from_zero(common, name):
    layer = getattr(layers, name)(**common)
    np.testing.assert_allclose(layer.forward(X), VALUES[name], rtol=1e-12, atol=1e-15)
    assert np.isfinite(layer.backward(np.ones_like(X))).all()


@pytest.mark.parametrize("name", VALUES)
def test_nan_passes_through(common, name):
    layer = getattr(layers, name)(**common)
    assert np.isnan(layer.forward([[np.nan, np.nan]])).all()


def test_slopes_at_zero(common):
    one = np.ones((1, 1))
    for layer, slope in (
        (layers.ReLU(**common), 0),
        (layers.LeakyReLU(0.3, **common), 0.3),
        (layers.LeakyReLU(0, **common), 0),
        (layers.ELU(0.5, **common), 0.5),
    ):
        layer.forward(0 * one)
        assert layer.backward(one) == slope


def test_clip_limits_values_and_lets_the_gradient_pass_between(common):
    layer = layers.Clip(-1, 3, **common)
    np.testing.assert_array_equal(layer.forward(X), np.clip(X, -1, 3))
    np.testing.assert_array_equal(layer.backward(np.full_like(X, 2)), [[0, 0, 0, 2, 2, 2, 2, 0, 0]])


def test_softmax_works_along_the_last_axis(common):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    y = layers.Softmax(**common).forward(x)
    np.testing.assert_allclose(y.sum(axis=-1), 1)
    np.testing.assert_allclose(layers.LogSoftmax(**common).forward(x), np.log(y))


def test_one_dimensional_input_is_a_batch_of_numbers(common):
    np.testing.assert_array_equal(layers.ReLU(**common).forward([-1, 2]), [0, 2])
    with pytest.raises(ValueError, match=r"^Softmax: x must have shape \(N, C, \.\.\.\), got \(2,\)$"):
        layers.Softmax(**common).forward([-1, 2])


def test_refusals():
    with pytest.raises(ValueError, match="^LeakyReLU: negative_slope must be >= 0, got -1$"):
        layers.LeakyReLU(-1)
    with pytest.raises(ValueError, match="^Clip: max_value must be > 500, got -500$"):
        layers.Clip(500, -500)
    with pytest.raises(ValueError, match="^Clip: min_value must be finite, got -inf$"):
        layers.Clip(-np.inf, 0)
    with pytest.raises(ValueError, match="^ELU: alpha must be > 0, got 0$"):
        layers.ELU(0)
    with pytest.raises(ValueError, match="^GELU: approximate must be one of 'none', 'tanh', got 'erf'$"):
        layers.GELU("erf")
    with pytest.raises(TypeError, match="^ELU: alpha must be a number, got None$"):
        layers.ELU(None)
