"""Shares of right answers."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from .activation import maximum


@kernel
def class_accuracy(outputs, labels, accuracy):
    """accuracy (1,) float64 = the share of rows of outputs (N, C) whose first largest column is labels (N,)."""
    right = 0
    for i in range(labels.size):
        right += _first_largest(outputs[i]) == labels[i]
    accuracy[0] = right / labels.size


@kernel
def one_hot_accuracy(outputs, targets, accuracy):
    """accuracy (1,) float64 = the share of rows of outputs and targets (N, C) with the same first largest column."""
    right = 0
    for i in range(targets.shape[0]):
        right += _first_largest(outputs[i]) == _first_largest(targets[i])
    accuracy[0] = right / targets.shape[0]


@kernel
def sign_accuracy(outputs, targets, accuracy):
    """accuracy (1,) float64 = the share of outputs (size,) that are >= 0 just where targets (size,) are >= 0.5."""
    right = 0
    for i in range(targets.size):
        right += (outputs[i] >= 0) == (targets[i] >= 0.5)
    accuracy[0] = right / targets.size


@kernel
def _first_largest(row):
    top = maximum(row)  # two loops, because the first of them fills vectors
    for c in range(row.size):
        if row[c] == top:
            return c
    return 0  # a row of NaN
