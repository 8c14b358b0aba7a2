"""Shares of right answers."""

import numpy as np

from ._arrays import Array


def class_accuracy(outputs: Array, labels: Array, accuracy: Array) -> None:
    """accuracy (1,) float64 = the share of rows of outputs (N, C) whose first largest column is labels (N,)."""
    accuracy[0] = np.mean(outputs.argmax(axis=1) == labels)


def one_hot_accuracy(outputs: Array, targets: Array, accuracy: Array) -> None:
    """accuracy (1,) float64 = the share of rows of outputs and targets (N, C) with the same first largest column."""
    accuracy[0] = np.mean(outputs.argmax(axis=1) == targets.argmax(axis=1))


def sign_accuracy(outputs: Array, targets: Array, accuracy: Array) -> None:
    """accuracy (1,) float64 = the share of outputs (size,) that are >= 0 just where targets (size,) are >= 0.5."""
    accuracy[0] = np.mean((outputs >= 0) == (targets >= 0.5))
