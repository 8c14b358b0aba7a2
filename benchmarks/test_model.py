"""Whole training steps through Sequential.train_batch, on both backends."""

import numpy as np
import pytest

import fastnn as fn
from fastnn.networks import NETWORKS

from .calls import normal
from .pairs import FULL, ONCE, Pairs, equal
from .shapes import Figures

IMAGE, CLASSES = (28, 28, 1), 10


def make(network, backend):
    """A network of the same weights for each backend, with a learning rate that leaves the loss about where it is."""
    model = fn.Sequential(NETWORKS[network](IMAGE, CLASSES), IMAGE, backend=backend, seed=0)
    model.compile(optimizer=fn.SGD(1e-5, momentum=0.9), loss=fn.SoftmaxCrossEntropy())
    return model


@pytest.mark.benchmark(group="training step")
@pytest.mark.parametrize(
    ("network", "title", "batch", "figures"),
    [
        ("mlp", "MLP 784-256-128-10", 32, Figures(ratio_least=2.5)),
        ("mlp", "MLP 784-256-128-10", 128, Figures(ratio_least=1.0)),
        ("cnn", "CNN 32-64-128", 64, Figures(ratio_least=10.0)),
        ("lenet5", "LeNet-5", 64, Figures(ratio_least=1.0)),
    ],
    ids=["mlp-32", "mlp-128", "cnn-64", "lenet5-64"],
)
def test_training_step(compare, network, title, batch, figures):
    x, y = normal(batch, *IMAGE), np.arange(batch) % CLASSES
    models = [make(network, backend) for backend in ("numba", "numpy")]
    ours, theirs = (lambda model=model: model.train_batch(x, y) for model in models)
    for _ in range(3):
        equal([np.array(ours()[0])], [np.array(theirs()[0])], tolerance=1e-4)
    equal(*([model.gradients] for model in models), tolerance=1e-3)
    compare.run(Pairs(ours, theirs, ONCE if compare.once else FULL), ours, title, f"batch {batch}", figures)
