"""Networks with something in every layer, for the tests of files."""

from __future__ import annotations

import numpy as np

import fastnn as fn


def filled(model, seed=0):
    """The model with random weights and statistics, in inference mode."""
    rng = np.random.default_rng(seed)
    for name, a in model.weights().items():
        a[...] = rng.uniform(0.5, 1.5, a.shape) if "var" in name else rng.standard_normal(a.shape) / 2
    model.eval()
    return model


def cnn(dtype="float64"):
    """Everything with weights, in every place."""
    block = fn.Residual([fn.Conv2D(4, 4, 3, padding=1, groups=2, bias=False), fn.BatchNorm(4), fn.ReLU()])
    layers = [
        fn.Conv2D(3, 4, 3, padding="same", activation="relu"), fn.BatchNorm(4), fn.MaxPool2D(2), block,
        fn.Conv2D(4, 6, (3, 2), padding=(1, 0)), fn.Flatten(), fn.BatchNorm(), fn.Tanh(), fn.Dropout(0.5),
        fn.Dense(None, 7, activation="tanh"), fn.Dense(7, 5),
    ]  # fmt: skip
    return filled(fn.Sequential(layers, (6, 8, 3), dtype=dtype, backend="numpy"))
