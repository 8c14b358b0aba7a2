"""The split of a data set: shares, classes, seeds."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnn import DataError, datasets
from fastnn.datasets._split import shares, stratified


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, (0.8, 0.1, 0.1)), ("80/10/10", (0.8, 0.1, 0.1)), ("3/1", (0.75, 0, 0.25)), ((0, 1), (0, 0, 1)),
     ([0.5, 0.25, 0.25], (0.5, 0.25, 0.25)), (" 1 / 0 / 0 ", (1, 0, 0))],
)  # fmt: skip
def test_shares(value, expected):
    assert shares(value) == pytest.approx(expected)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0, 0.5), (0, 0, 1), (0, 0.5, 0.5), (1, 0, 0), (0.34, 0.33, 0.33)]),
    st.integers(0, 5),
)
def test_each_class_is_cut_alike(sizes, wanted, seed):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    parts = stratified(labels, wanted, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    counts = np.array([np.bincount(labels[rows], minlength=len(sizes)) for rows in parts])
    assert (np.abs(counts - np.outer(wanted, sizes)) < 2 - 1e-9).all()
    assert (counts.sum(axis=1)[np.array(wanted) == 0] == 0).all()
    if wanted[0]:
        assert counts[0].min() >= 1
    for rows, again in zip(parts, stratified(labels, wanted, seed), strict=True):
        assert (np.diff(rows) > 0).all()
        np.testing.assert_array_equal(rows, again)


def test_small_classes_add_up():
    labels = np.repeat(np.arange(100), 3)
    assert [len(rows) for rows in stratified(labels, (0.8, 0.1, 0.1), 0)] == [240, 30, 30]
    assert [len(rows) for rows in stratified(np.arange(60_000) % 10, (0.8, 0.1, 0.1), 0)] == [48_000, 6_000, 6_000]


def test_a_known_data_set_can_be_split_into_training_and_validation():
    data = datasets.load("digits", split="0.9/0.1", seed=1)
    assert [len(x) for x, _ in (data.train, data.validation, data.test)] == [1350, 150, 297]
    (x, y), (x_test, y_test) = datasets.load_digits()
    np.testing.assert_array_equal(data.test[0], x_test)
    np.testing.assert_array_equal(data.test[1], y_test)
    with pytest.raises(ValueError, match="digits: has a test part of its own: split must be two shares"):
        datasets.load("digits", split="0.8/0.1/0.1")
    whole = datasets.load("digits")
    assert whole.validation is None
    np.testing.assert_array_equal(whole.train[0], x)
    np.testing.assert_array_equal(whole.train[1], y)


def test_the_test_part_as_a_model_takes_it():
    x, y = datasets.load_digits()[1]
    flat = datasets.load_test("digits", sample_shape=(64,)).test
    np.testing.assert_array_equal(flat[0], x.reshape(len(x), 64))
    np.testing.assert_array_equal(flat[1], y)
    assert datasets.load_test("digits", sample_shape=(8, 8, 1), class_names=tuple("9876543210")).test[1][0] == 9 - y[0]
    for shape in [(28, 28, 1), (63,), (4, 16, 1)]:
        message = re.escape(f"digits: samples have shape (8, 8, 1), but the model takes {shape}")
        with pytest.raises(DataError, match=f"^{message}$"):
            datasets.load_test("digits", sample_shape=shape)
    with pytest.raises(ValueError, match="digits: row 0: label '0' is outside the classes cat, dog"):
        datasets.load_test("digits", sample_shape=(64,), class_names=("cat", "dog"))
