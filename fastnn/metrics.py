"""How right predictions are: accuracy, and what the table of true and predicted classes tells.

`Accuracy` takes y_pred first, as from-scratch scripts do; the functions take y_true first, as scikit-learn's do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
        threshold; or class numbers (N,). y_true: class numbers (N,) or (N, 1), one-hot rows (N, C) or
        probabilities, whose largest counts. Raises ValueError where the lengths differ, where y_pred holds NaN,
        or for a label outside 0..C-1.
        """
        predicted = _checks.numeric("Accuracy", "y_pred", y_pred)
        if predicted.ndim not in (1, 2) or predicted.size == 0:
            raise ValueError(f"Accuracy: y_pred must have shape (N,) or (N, C), got {predicted.shape}")
        _checks.finite("Accuracy", "y_pred", predicted)
        rows = len(predicted)
        if predicted.ndim == 2 and predicted.shape[1] > 1:
            truth = _checks.classes("Accuracy", "y_true", y_true, predicted.shape[1], rows, predicted.dtype)
            truth = truth if truth.ndim == 1 else truth.argmax(axis=1)
            return float(np.mean(predicted.argmax(axis=1) == truth))
        truth = _checks.numeric("Accuracy", "y_true", y_true)
        if predicted.ndim == 2:
            predicted = (predicted[:, 0] >= self.threshold).astype(np.int64)
        if truth.ndim == 2:
            truth = truth[:, 0] if truth.shape[1] == 1 else truth.argmax(axis=1)
        if truth.shape != predicted.shape:
            raise ValueError(f"Accuracy: y_true must have shape {predicted.shape}, got {truth.shape}")
        return float(np.mean(predicted == truth))


# The confusion matrix, and what follows from it


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, classes: int) -> Array:
    """Counts (C, C) int64: row = true class, column = predicted; both given as class numbers or one-hot rows.

    Raises ValueError that names the row for a label outside 0..C-1.
    """
    classes = _checks.integer("confusion_matrix", "classes", classes, 1)
    truth = _checks.labels("confusion_matrix", "y_true", y_true, classes)
    predicted = _checks.labels("confusion_matrix", "y_pred", y_pred, classes, len(truth))
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True)
class Means:
    """Precision, recall and F1 as means over the classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class ClassScores:
    """One value per class in every array (C,).

    precision: share of a class's predictions that are right. recall: share of its samples that are found. f1: their
    harmonic mean. support: number of its samples, int64.
    macro: means in which every class counts the same; weighted: means by support.
    """

    precision: Array
    recall: Array
    f1: Array
    support: Array
    macro: Means
    weighted: Means


def class_scores(counts: ArrayLike, zero_division: float = 0.0) -> ClassScores:
    """Precision, recall and F1 of every class from a confusion matrix (C, C), row = true class.

    The numbers are those of scikit-learn's `precision_recall_fscore_support` with `labels=range(C)`. zero_division
    stands where a fraction is 0 / 0: the precision of a class that was never predicted, the recall of one that has no
    sample, F1 where both is so. It counts in the means; NaN leaves such a class out of them.
    """
    own = "class_scores"
    table = checked_counts(own, counts)
    if not (isinstance(zero_division, float) and math.isnan(zero_division)):
        zero_division = _checks.number(own, "zero_division", zero_division, minimum=0, maximum=1)
    right, support, predicted = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    precision = _ratio(right, predicted, zero_division)
    recall = _ratio(right, support, zero_division)
    f1 = _ratio(2 * right, support + predicted, zero_division)
    columns = (precision, recall, f1)
    macro = Means(*(_mean(column, np.ones_like(support)) for column in columns))
    weighted = Means(*(_mean(column, support) for column in columns))
    return ClassScores(precision, recall, f1, support, macro, weighted)


@dataclass(frozen=True)
class Confusion:
    """count samples of the class truth were taken for the class predicted: share of truth's samples, in 0..1."""

    truth: int
    predicted: int
    count: int
    share: float


def most_confused(counts: ArrayLike, top: int = 10) -> list[Confusion]:
    """The largest counts off the diagonal of a confusion matrix (C, C), largest first; at most top, none that is 0.

    Of equal counts the one with the larger share comes first.
    """
    table = checked_counts("most_confused", counts)
    top = _checks.integer("most_confused", "top", top, 1)
    shares = _ratio(table, table.sum(axis=1, keepdims=True), 0.0)
    wrong = table * ~np.eye(len(table), dtype=bool)
    order = np.lexsort((-shares.reshape(-1), -wrong.reshape(-1)))[:top]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [Confusion(int(t), int(p), int(table[t, p]), float(shares[t, p])) for t, p in pairs if wrong[t, p]]


# From the scores of every class


def top_k_accuracy(y_true: ArrayLike, scores: ArrayLike, k: int = 5) -> float:
    """Share of samples whose true class is among the k highest scores (N, C), in 0..1.

    Of equal scores the lower class number is the higher, as for `argmax`: k=1 gives the accuracy.
    """
    table, truth = _scores("top_k_accuracy", y_true, scores)
    k = _checks.integer("top_k_accuracy", "k", k, 1)
    own = np.take_along_axis(table, truth[:, None], axis=1)
    before = (table > own) | ((table == own) & (np.arange(table.shape[1]) < truth[:, None]))
    return float(np.mean(before.sum(axis=1) < k))


def expected_calibration_error(y_true: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> float:
    """How far the confidence is from the accuracy, in 0..1: Guo et al. 2017, arXiv:1706.04599, equation 3.

    The samples are sorted into bins of equal width by the probability (N, C) of their predicted class; |accuracy -
    mean confidence| of every bin is weighted by its samples. Raises ValueError for probabilities outside 0..1.
    """
    own = "expected_calibration_error"
    table, truth = _scores(own, y_true, probabilities, "probabilities")
    bins = _checks.integer(own, "bins", bins, 1)
    outside = ((table < 0) | (table > 1)).any(axis=1)
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(f"{own}: probabilities must be in 0..1, got {table[row].tolist()} in row {row}")
    confidence = table.max(axis=1)
    # A bin holds its upper edge: (0, 1/bins], ..., as in the paper.
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    excess = np.bincount(places, (table.argmax(axis=1) == truth) - confidence, bins)
    return float(np.abs(excess).sum() / len(truth))


def worst_errors(y_true: ArrayLike, scores: ArrayLike, count: int = 10) -> Array:
    """Rows (M,) int64 of the worst wrong predictions, worst first; M <= count.

    The lower the score (N, C) of the true class, the worse; of equal ones the surer of the wrong class is the worse.
    """
    table, truth = _scores("worst_errors", y_true, scores)
    count = _checks.integer("worst_errors", "count", count, 1)
    wrong = np.flatnonzero(table.argmax(axis=1) != truth)
    order = np.lexsort((-table[wrong].max(axis=1), table[wrong, truth[wrong]]))
    return np.asarray(wrong[order[:count]], np.int64)


def checked_counts(owner: str, value: ArrayLike) -> Array:
    """Square matrix of counts, int64, of one sample at least."""
    found = _checks.numeric(owner, "counts", value)
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise ValueError(f"{owner}: counts must have shape (C, C), got {found.shape}")
    if found.size == 0 or not np.isfinite(found).all() or (found < 0).any() or (found != np.floor(found)).any():
        raise ValueError(f"{owner}: counts must be whole numbers >= 0, as confusion_matrix makes them")
    if not found.any():
        raise ValueError(f"{owner}: counts must hold a sample, got zeros only")
    return found.astype(np.int64)


def _scores(owner: str, y_true: ArrayLike, value: ArrayLike, name: str = "scores") -> tuple[Array, Array]:
    """Finite float64 (N, C), and the class numbers (N,)."""
    table = _checks.array(owner, name, value, np.dtype(np.float64), ("N", "C"))
    _checks.finite(owner, name, table)
    return table, _checks.labels(owner, "y_true", y_true, table.shape[1], len(table))


def _ratio(part: Array, whole: Array, zero_division: float) -> Array:
    out = np.full(np.broadcast_shapes(part.shape, whole.shape), zero_division)
    np.divide(part, whole, out=out, where=whole != 0)
    return out


def _mean(values: Array, weights: Array) -> float:
    """Weighted mean of the values that are no NaN; NaN where none has a weight."""
    known = ~np.isnan(values)
    total = weights[known].sum()
    return float(values[known] @ weights[known] / total) if total else math.nan
