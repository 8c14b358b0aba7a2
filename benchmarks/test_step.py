"""What stands between the layers of a training step."""

import numpy as np
import pytest

from .calls import blank, normal
from .pairs import Call
from .shapes import FASTER, rows


@pytest.mark.benchmark(group="between the layers")
@rows("gather", "residual_add", "class_accuracy", "one_hot_accuracy", "sign_accuracy")
def test_between_layers(compare, operation, shape):
    if operation == "gather":
        order = np.random.default_rng(0).permutation(2048)[: shape.n]
        call = Call(operation, normal(2048, shape.c), order, blank(shape.n, shape.c))
    elif operation == "residual_add":
        call = Call(operation, normal(shape), normal(shape, seed=1), blank(shape))
    elif operation == "sign_accuracy":
        call = Call(operation, normal(shape), normal(shape, seed=1), np.zeros(1))
    else:
        labels = np.arange(shape.n) % shape.c
        targets = labels if operation == "class_accuracy" else np.eye(shape.c, dtype=np.float32)[labels]
        call = Call(operation, normal(shape.n, shape.c), targets, np.zeros(1))
    compare.calls(call, shape, FASTER, copy=operation != "gather")
