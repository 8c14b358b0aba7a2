"""Losses."""

import numpy as np
import pytest

from .calls import blank, normal
from .pairs import Call
from .shapes import FASTER, rows


@pytest.mark.benchmark(group="losses")
@rows("softmax_cross_entropy")
def test_softmax_cross_entropy(compare, operation, shape):
    n, c = shape.n, shape.c
    logits, labels, no_weights = normal(n, c), np.arange(n, dtype=np.int64) % c, normal(0)
    if operation.endswith("forward"):
        call = Call(operation, logits, labels, no_weights, 0.0, blank(n, c), blank(n), outputs=2)
    else:
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        call = Call(operation, probabilities, labels, no_weights, 0.0, 1 / n, blank(n, c))
    compare.calls(call, shape, FASTER, copy=True)


@pytest.mark.benchmark(group="losses")
@rows("soft_cross_entropy")
def test_soft_cross_entropy(compare, operation, shape):
    n, c = shape.n, shape.c
    first, targets = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (normal(n, c), normal(n, c, seed=1)))
    if operation.endswith("forward"):
        call = Call(operation, normal(n, c), targets, normal(0), 0.0, blank(n, c), blank(n), outputs=2)
    else:
        call = Call(operation, first, targets, normal(0), 0.0, 1 / n, blank(n, c))
    compare.calls(call, shape, FASTER, copy=True)


@pytest.mark.benchmark(group="losses")
@rows("binary_cross_entropy", "mean_squared_error")
def test_elementwise_loss(compare, operation, shape):
    targets = (normal(shape, seed=1) > 0).astype(np.float32)
    scale = () if operation.endswith("forward") else (1 / shape,)
    compare.calls(Call(operation, normal(shape), targets, *scale, blank(shape)), shape, FASTER, copy=True)


@pytest.mark.benchmark(group="losses")
@rows("total_loss")
def test_total_loss(compare, operation, shape):
    compare.calls(Call(operation, normal(shape.n), np.zeros(1)), shape, FASTER, copy=True)
