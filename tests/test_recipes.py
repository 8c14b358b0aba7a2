"""The recipes that ship: each is a file of valid settings that says what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastnn import recipes, train
from fastnn.run import Data, build


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_can_be_built_and_described(name):
    settings = recipes.load(name).override({"training.backend": "numpy"})
    shape = (32, 32, 3) if settings.data.dataset == "cifar10" else (28, 28, 1)
    images, labels = np.random.default_rng(0).random((2, *shape), np.float32), np.arange(2)
    model = build(settings, Data((images, labels), None, (images, labels), tuple("0123456789")))
    assert model.predict_proba(images).shape == (2, 10)
    assert recipes.description(name)
    assert not recipes.description(name).startswith(("#", "["))


def test_the_networks_that_their_names_promise():
    hidden = {name: recipes.load(name).network.keywords.get("hidden") for name in recipes.names()}
    assert hidden == {
        "mlp": (128, 64), "mlp-256": (256, 128), "mlp-sigmoid": (64,), "mlp-adam": (256, 128),
        "mlp-best": (512, 256), "lenet5": None, "cnn": None, "cnn-fast": None, "cnn-best": None,
        "cifar-small": None,
    }  # fmt: skip
    assert recipes.load("mlp-sigmoid").network.keywords["activation"] == "sigmoid"
    others = {name for name in recipes.names() if recipes.load(name).data.dataset != "mnist"}
    assert others == {"cifar-small"}
    assert recipes.load("cifar-small").data.dataset == "cifar10"


def test_a_recipe_that_there_is_not():
    with pytest.raises(ValueError, match="^recipes: name must be one of 'cifar-small', .*, got 'mpl'$"):
        recipes.load("mpl")


def test_the_documents_have_what_each_reaches():
    rows = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8").splitlines()
    assert {row.split("`")[1] for row in rows if row.startswith("| `") and " % (" in row} == set(recipes.names())


def test_a_recipe_on_mnist(mnist_folder):
    settings = recipes.load("mlp-256").override({"data.data_dir": str(mnist_folder), "training.epochs": 2})
    assert train(settings, verbose=False).accuracy > 0.965
