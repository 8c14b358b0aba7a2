"""Accuracy, the confusion matrix and what follows from it, and what the probabilities tell."""

import math

import numpy as np
import pytest

from fastnn.metrics import (
    Accuracy,
    Confusion,
    Means,
    class_scores,
    confusion_matrix,
    expected_calibration_error,
    most_confused,
    top_k_accuracy,
    worst_errors,
)

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
    counts = confusion_matrix(np.eye(3)[TRUTH], [1, 0, 2, 1], 3)
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
        confusion_matrix([1], [2], 2)


# Class 2 is never predicted, class 3 has no sample and is predicted once, class 4 is neither.
COUNTS = np.array([[4, 1, 0, 0, 0], [2, 2, 0, 1, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])


@pytest.mark.parametrize("counts", [COUNTS, COUNTS.tolist(), COUNTS.astype(float)])
def test_class_scores_by_hand(counts):
    found = class_scores(counts)
    np.testing.assert_allclose(found.precision, [4 / 7, 2 / 4, 0, 0, 0])
    np.testing.assert_allclose(found.recall, [4 / 5, 2 / 5, 0, 0, 0])
    np.testing.assert_allclose(found.f1, [8 / 12, 4 / 9, 0, 0, 0])
    np.testing.assert_array_equal(found.support, [5, 5, 2, 0, 0])
    assert found.support.dtype == np.int64
    macro = ((4 / 7 + 0.5) / 5, 1.2 / 5, (2 / 3 + 4 / 9) / 5)
    assert found.macro == Means(*map(pytest.approx, macro))
    assert found.weighted.precision == pytest.approx((5 * 4 / 7 + 5 * 0.5) / 12)
    assert found.weighted.recall == pytest.approx(6 / 12)
    assert found.weighted.f1 == pytest.approx((5 * 2 / 3 + 5 * 4 / 9) / 12)


def test_zero_division():
    one = class_scores(COUNTS, zero_division=1)
    np.testing.assert_allclose(one.precision, [4 / 7, 2 / 4, 1, 0, 1])
    np.testing.assert_allclose(one.recall, [4 / 5, 2 / 5, 0, 1, 1])
    np.testing.assert_allclose(one.f1, [8 / 12, 4 / 9, 0, 0, 1])
    nan = class_scores(COUNTS, zero_division=math.nan)
    np.testing.assert_array_equal(np.isnan(nan.precision), [False, False, True, False, True])
    assert nan.macro.precision == pytest.approx((4 / 7 + 2 / 4) / 3)
    assert nan.macro.recall == pytest.approx((4 / 5 + 2 / 5) / 3)
    assert nan.weighted.precision == pytest.approx((5 * 4 / 7 + 5 * 0.5) / 10)


def test_scores_are_those_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(5, size=60), rng.integers(6, size=60)
    counts = confusion_matrix(truth, predicted, 7)
    np.testing.assert_array_equal(counts, reference.confusion_matrix(truth, predicted, labels=range(7)))
    for zero_division in (0.0, 1.0, math.nan):
        found = class_scores(counts, zero_division)
        for own, average in (((found.precision, found.recall, found.f1), None), (found.macro, "macro"),
                             (found.weighted, "weighted")):  # fmt: skip
            wanted = reference.precision_recall_fscore_support(
                truth, predicted, labels=range(7), average=average, zero_division=zero_division
            )[:3]
            own = own if average is None else (own.precision, own.recall, own.f1)
            np.testing.assert_allclose(np.array(own), np.array(wanted), rtol=1e-12)


def test_most_confused():
    counts = [[90, 5, 5], [0, 1, 4], [3, 4, 5]]
    assert most_confused(counts, 3) == [Confusion(0, 1, 5, 0.05), Confusion(0, 2, 5, 0.05), Confusion(1, 2, 4, 0.8)]
    assert [(pair.truth, pair.predicted) for pair in most_confused(counts)][2:] == [(1, 2), (2, 1), (2, 0)]
    assert most_confused([[3, 0], [0, 4]]) == []


def test_top_k():
    assert top_k_accuracy(TRUTH, SCORES, 1) == Accuracy().calculate(SCORES, TRUTH)
    scores = [[0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.4, 0.4, 0.2]]
    assert [top_k_accuracy([2, 1, 1], scores, k) for k in (1, 2, 3, 9)] == [0, pytest.approx(2 / 3), 1, 1]
    assert top_k_accuracy(np.eye(3)[[2, 1, 0]], scores, 1) == pytest.approx(1 / 3)  # of equal ones the lower class


def test_calibration():
    sure = np.array([[1.0, 0.0]] * 4)
    assert expected_calibration_error([0, 0, 0, 0], sure) == 0
    assert expected_calibration_error([0, 0, 1, 1], sure) == pytest.approx(0.5)
    mixed = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.35, 0.65]]
    by_hand = (abs(1 - 1.7) + abs(2 - 1.25)) / 4  # bins (0.5, 0.75] and (0.75, 1]
    assert expected_calibration_error([0, 1, 1, 1], mixed, bins=4) == pytest.approx(by_hand)
    assert expected_calibration_error([0, 1, 1, 1], mixed, bins=1) == pytest.approx(abs(3 - 2.95) / 4)


def test_worst_errors():
    scores = [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.0, 0.5, 0.5], [0.1, 0.0, 0.9], [0.6, 0.0, 0.4]]
    truth = [1, 0, 0, 2, 1]
    assert worst_errors(truth, scores).tolist() == [4, 2, 0, 1]
    assert worst_errors(np.eye(3)[truth], scores, 2).tolist() == [4, 2]
    none = worst_errors([0, 1], np.eye(2))
    assert none.shape == (0,)
    assert none.dtype == np.int64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: class_scores(np.ones((2, 3))), r"class_scores: counts must have shape \(C, C\), got \(2, 3\)"),
        (lambda: class_scores([[1, -1], [0, 1]]), "class_scores: counts must be whole numbers >= 0, as confusion_"),
        (lambda: class_scores([[1, 0.5], [0, 1]]), "class_scores: counts must be whole numbers >= 0"),
        (lambda: class_scores(np.zeros((2, 2))), "class_scores: counts must hold a sample, got zeros only"),
        (lambda: class_scores(np.eye(2), 2), "class_scores: zero_division must be >= 0 and <= 1, got 2"),
        (lambda: most_confused(np.eye(2), 0), "most_confused: top must be >= 1, got 0"),
        (lambda: top_k_accuracy([0], [[1, 2]], 0), "top_k_accuracy: k must be >= 1, got 0"),
        (lambda: top_k_accuracy([0, 1], [[1, 2]], 1), r"top_k_accuracy: y_true must have shape \(1,\) or \(1, 2\)"),
        (lambda: top_k_accuracy([0], [1, 2], 1), r"top_k_accuracy: scores must have shape \(N, C\), got \(2,\)"),
        (lambda: worst_errors([0], [[1, np.nan]]), "worst_errors: scores must be finite, got nan in row 0"),
        (lambda: expected_calibration_error([0, 0], [[1, 0], [1.5, 0]]),
         r"expected_calibration_error: probabilities must be in 0\.\.1, got \[1\.5, 0\.0\] in row 1"),
    ],
)  # fmt: skip
def test_refusals_of_what_follows(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()
