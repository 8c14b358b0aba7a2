"""The gradient checks themselves: a wrong gradient fails them."""

import gradients
import numpy as np
import pytest

from fastnn.layers import Dense, Tanh
from fastnn.losses import MeanSquaredError

COMMON = {"backend": "numpy", "dtype": "float64", "seed": 0}


class WrongInput(Tanh):
    def _backward(self, dy):
        return 1.0001 * super()._backward(dy)


class WrongBiases(Dense):
    def _backward(self, dy):
        dx = super()._backward(dy)
        self.dbiases += 1e-4
        return dx


class WrongLoss(MeanSquaredError):
    def _backward(self, x, y, dx):
        super()._backward(x, y, dx)
        dx *= 1.0001


@pytest.mark.parametrize("layer", [WrongInput(**COMMON), WrongBiases(3, 2, **COMMON)])
def test_a_wrong_layer_fails(layer):
    x = np.random.default_rng(0).standard_normal((4, 3))
    with pytest.raises(AssertionError):
        gradients.check_layer(layer, x)


def test_a_wrong_loss_fails():
    x, t = np.random.default_rng(0).standard_normal((2, 4, 3))
    with pytest.raises(AssertionError):
        gradients.check_loss(WrongLoss(backend="numpy"), x, t)
