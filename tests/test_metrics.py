"""Accuracy and the confusion matrix."""

import numpy as np
import pytest

from fastnn.metrics import Accuracy, confusion_matrix

SCORES = np.array([[0.1, 0.7, 0.2], [0.9, 0, 0.1], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3]])
TRUTH = np.array([1, 0, 1, 1])


@pytest.mark.parametrize("truth", [TRUTH, TRUTH.tolist(), TRUTH[:, None], np.eye(3)[TRUTH]])
@pytest.mark.parametrize("scores", [SCORES, SCORES.argmax(axis=1), SCORES.tolist()])
def test_accuracy_of_every_form(scores, truth):
    assert Accuracy().calculate(scores, truth) == 0.75


def test_one_column_is_compared_with_the_threshold():
    column = np.array([[0.2], [0.7], [0.5], [0.1]])
    assert Accuracy().calculate(column, [0, 1, 1, 1]) == 0.75
    assert Accuracy().calculate(column, [[0], [1], [0], [0]]) == 0.75
    assert Accuracy(threshold=0).calculate(column, [1, 1, 1, 1]) == 1


def test_confusion_matrix():
    counts = confusion_matrix([1, 0, 2, 1], np.eye(3)[TRUTH], 3)
    np.testing.assert_array_equal(counts, [[1, 0, 0], [0, 2, 1], [0, 0, 0]])


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        (SCORES, [1, 0, 1], r"y_true must have shape \(4,\) or \(4, 3\), got \(3,\)"),
        (SCORES, [1, 0, 1, 3], r"y_true must be class numbers in 0\.\.2, got 3 in row 3"),
        (SCORES * np.nan, TRUTH, "y_pred must be finite, got nan in row 0"),
        ([1, 0], TRUTH, r"y_true must have shape \(2,\), got \(4,\)"),
        (np.ones((2, 2, 2)), TRUTH, r"y_pred must have shape \(N,\) or \(N, C\), got \(2, 2, 2\)"),
        ([], [], r"y_pred must have shape \(N,\) or \(N, C\), got \(0,\)"),
    ],
)
def test_refusals(scores, truth, message):
    with pytest.raises(ValueError, match=f"^Accuracy: {message}$"):
        Accuracy().calculate(scores, truth)


def test_confusion_matrix_refusals():
    with pytest.raises(ValueError, match=r"^confusion_matrix: y_pred must be class numbers in 0\.\.1, got 2 in row 0$"):
        confusion_matrix([2], [1], 2)
