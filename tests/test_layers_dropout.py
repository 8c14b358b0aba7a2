"""Dropout: rate, seeds, modes."""

import numpy as np
import pytest
from backends import BACKENDS

from fastnn.layers import Dropout


@pytest.fixture(params=BACKENDS)
def common(request):
    return {"backend": request.param, "seed": 0}


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_share_and_scale(common, rate):
    y = Dropout(rate, **common).forward(np.ones((100, 1000)))
    assert abs(float(np.mean(y == 0)) - rate) < 0.005
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


def test_backward_drops_the_same_elements(common):
    layer = Dropout(0.5, **common)
    y = layer.forward(np.ones((10, 20)))
    np.testing.assert_array_equal(layer.backward(np.ones((10, 20))), y)


def test_each_call_draws_anew_and_a_seed_repeats_them(common):
    a, b, c = Dropout(0.5, **common), Dropout(0.5, **common), Dropout(0.5, **{**common, "seed": 1})
    x = np.ones((10, 20))
    first, second = a.forward(x), a.forward(x)
    assert (first != second).any()
    np.testing.assert_array_equal(b.forward(x), first)
    np.testing.assert_array_equal(b.forward(x), second)
    assert (c.forward(x) != first).any()


@pytest.mark.parametrize("rate", [0.0, 0.7])
def test_nothing_is_dropped_in_inference(common, rate):
    layer = Dropout(rate, **common)
    layer.eval()
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    np.testing.assert_array_equal(layer.forward(x), x)
    np.testing.assert_array_equal(layer.backward(x), x)
    layer.train()
    assert (layer.forward(x) == 0).any() == (rate > 0)


def test_refusals():
    with pytest.raises(ValueError, match="^Dropout: rate must be >= 0 and < 1, got 1$"):
        Dropout(1)
    with pytest.raises(TypeError, match="^Dropout: rate must be a number, got '0.5'$"):
        Dropout("0.5")
    with pytest.raises(ValueError, match="^Dropout: rate must be >= 0 and < 1, got nan$"):
        Dropout(float("nan"))
