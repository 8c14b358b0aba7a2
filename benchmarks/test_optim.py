"""Optimizer updates, sums of gradients and clipping, in place, beside a plain copy of the same arrays."""

import numpy as np
import pytest

from .calls import normal
from .pairs import Call
from .shapes import FASTER, rows


@pytest.mark.benchmark(group="optimizers")
@rows(
    "sgd_update", "rmsprop_update", "adam_update", "accumulate_gradients", "clip_by_value", "sum_of_squares",
    "clip_by_norm",
)  # fmt: skip
def test_optimizer(compare, operation, shape):
    dw, w, zeros = normal(shape), normal(shape, seed=1), np.zeros(shape, np.float32)
    call = {
        "sgd_update": lambda: Call(operation, dw, 1e-6, 0.9, False, 0.0, zeros, w, outputs=2, updated=2),
        "rmsprop_update": lambda: Call(operation, dw, 1e-6, 0.9, 1e-8, 0.9, zeros, zeros, w, outputs=3, updated=3),
        "adam_update": lambda: Call(
            operation, dw, 1e-6, 0.9, 0.999, 1e-8, 0.01, True, 1, zeros, zeros, w, outputs=3, updated=3
        ),
        "accumulate_gradients": lambda: Call(operation, -2.0, 0, zeros, w, outputs=2, updated=2),
        "clip_by_value": lambda: Call(operation, 1.0, w, updated=1),
        "sum_of_squares": lambda: Call(operation, dw, np.zeros(1)),
        # A factor of 1 - 5e-10: many calls leave the numbers what they are.
        "clip_by_norm": lambda: Call(operation, 1.0, np.full(1, 1 + 1e-9), w, updated=1),
    }[operation]()
    compare.calls(call, shape, FASTER, copy=True)
