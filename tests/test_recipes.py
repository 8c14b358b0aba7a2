"""The recipes: every network fits every image size it promises, and learns."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import datasets
from fastnn.optimizers import SGD, Adam
from fastnn.recipes import OPTIMIZERS, RECIPES

SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (20, 30, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", RECIPES)
def test_every_network_takes_every_image_size(name, shape):
    model = RECIPES[name].build(shape, 7, backend="numpy", seed=0)
    x = np.random.default_rng(0).random((2, *shape), np.float32)
    assert model.predict_proba(x).shape == (2, 7)


def test_lenet5_has_the_weights_of_the_paper():
    sizes = {
        name: parameter.shape
        for name, parameter in RECIPES["lenet5"].build((32, 32, 1), 10, backend="numpy").weights().items()
        if parameter.ndim > 1
    }
    assert list(sizes.values()) == [(5, 5, 1, 6), (5, 5, 6, 16), (400, 120), (120, 84), (84, 10)]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns_the_digits(name):
    (x, y), (x_test, y_test) = datasets.load_digits()
    recipe = RECIPES[name]
    model = recipe.build(x.shape[1:], 10, backend="numpy", seed=0)
    model.compile(recipe.make_optimizer())
    model.fit(x, y, epochs=10, batch_size=32, verbose=False)
    assert model.evaluate(x_test, y_test)[1] > 0.9


def test_optimizers():
    recipe = RECIPES["mlp"]
    assert isinstance(recipe.make_optimizer(), Adam)
    assert isinstance(recipe.make_optimizer("sgd"), SGD)
    assert recipe.make_optimizer().learning_rate.learning_rate == recipe.learning_rate
    assert recipe.make_optimizer("sgd").learning_rate.learning_rate == OPTIMIZERS["sgd"][1]
    x = np.random.default_rng(0).random((8, 8, 8, 1), np.float32)
    for name in OPTIMIZERS:
        model = recipe.build((8, 8, 1), 10, backend="numpy", seed=0)
        model.compile(recipe.make_optimizer(name, 0.005))
        losses = model.fit(x, np.arange(8), epochs=40, verbose=False).loss
        assert losses[-1] < losses[0] / 2
