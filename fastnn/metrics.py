"""How right predictions are."""

from __future__ import annotations

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, ArrayLike


class Accuracy:
    """Share of right predictions.

    threshold: for predictions of one value per sample or per label (binary): class 1 from here on. 0.5 suits
    probabilities, 0 logits.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = _checks.number("Accuracy", "threshold", threshold)

    def calculate(self, y_pred: ArrayLike, y_true: ArrayLike) -> float:
        """Accuracy of y_pred against y_true, in 0..1.

        y_pred: scores, logits or probabilities (N, C), whose largest counts; or (N, 1), compared with
        threshold; or class numbers (N,). y_true: class numbers (N,) or (N, 1), or one-hot rows (N, C). Raises
        ValueError where the lengths differ, where y_pred holds NaN, or for a label outside 0..C-1.
        """
        predicted = _checks.numeric("Accuracy", "y_pred", y_pred)
        if predicted.ndim not in (1, 2) or predicted.size == 0:
            raise ValueError(f"Accuracy: y_pred must have shape (N,) or (N, C), got {predicted.shape}")
        _checks.finite("Accuracy", "y_pred", predicted)
        rows = len(predicted)
        if predicted.ndim == 2 and predicted.shape[1] > 1:
            truth = _checks.labels("Accuracy", "y_true", y_true, predicted.shape[1], rows)
            return float(np.mean(predicted.argmax(axis=1) == truth))
        truth = _checks.numeric("Accuracy", "y_true", y_true)
        if predicted.ndim == 2:
            predicted = (predicted[:, 0] >= self.threshold).astype(np.int64)
        if truth.ndim == 2:
            truth = truth[:, 0] if truth.shape[1] == 1 else truth.argmax(axis=1)
        if truth.shape != predicted.shape:
            raise ValueError(f"Accuracy: y_true must have shape {predicted.shape}, got {truth.shape}")
        return float(np.mean(predicted == truth))


def confusion_matrix(y_pred: ArrayLike, y_true: ArrayLike, classes: int) -> Array:
    """Counts (C, C) int64: row = true class, column = predicted; both given as class numbers or one-hot."""
    classes = _checks.integer("confusion_matrix", "classes", classes, 1)
    truth = _checks.labels("confusion_matrix", "y_true", y_true, classes)
    predicted = _checks.labels("confusion_matrix", "y_pred", y_pred, classes, len(truth))
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)
