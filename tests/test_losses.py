"""Losses: values against their definitions, gradients by central differences, labels and refusals."""

import math

import gradients
import numpy as np
import pytest
from backends import BACKENDS

from fastnn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def logits(n=6, c=4, seed=0):
    return 3 * np.random.default_rng(seed).standard_normal((n, c))


LABELS = np.array([0, 3, 1, 1, 2, 0])
WEIGHTS = np.array([0.5, 2, 0, 1])


def log_softmax(x):
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_is_that_of_pytorch(backend, weights, smoothing):
    loss = SoftmaxCrossEntropy(weights, smoothing, backend=backend)
    x = logits()
    logp, w = log_softmax(x), np.ones(4) if weights is None else weights
    rows = (1 - smoothing) * w[LABELS] * -logp[np.arange(6), LABELS] + smoothing / 4 * (w * -logp).sum(axis=1)
    value = loss.forward(x, LABELS)
    assert type(value) is float
    assert value == pytest.approx(rows.sum() / w[LABELS].sum(), rel=1e-12)
    np.testing.assert_allclose(loss.output, np.exp(logp), rtol=1e-12)
    gradients.check_loss(loss, x, LABELS)


def test_gradient_is_divided_by_the_batch_size(backend):
    loss = SoftmaxCrossEntropy(backend=backend)
    x = logits()
    loss.forward(x, LABELS)
    dx = loss.backward(LABELS)
    assert loss.dinputs is dx
    np.testing.assert_allclose(dx, (np.exp(log_softmax(x)) - np.eye(4)[LABELS]) / 6, atol=1e-14)


@pytest.mark.parametrize(
    "form",
    [
        LABELS, LABELS.tolist(), LABELS.astype(np.uint8), LABELS.astype(float), LABELS[:, None], np.eye(4)[LABELS],
        np.eye(4, dtype=int)[LABELS].tolist(), np.eye(4, dtype=bool)[LABELS], np.repeat(LABELS, 2)[::2],
    ],
)  # fmt: skip
def test_every_form_of_labels(backend, form):
    a, b = SoftmaxCrossEntropy(backend=backend), SoftmaxCrossEntropy(backend=backend)
    assert a.forward(logits(), form) == b.forward(logits(), LABELS)
    np.testing.assert_array_equal(a.backward(form), b.backward())


def test_call_orders_of_backward(backend):
    loss = SoftmaxCrossEntropy(backend=backend)
    x = logits()
    loss.forward(x, LABELS)
    expected = loss.backward().copy()
    np.testing.assert_array_equal(loss.backward(LABELS), expected)
    np.testing.assert_array_equal(loss.backward(loss.output, LABELS), expected)
    others = LABELS[::-1]
    changed = loss.backward(others).copy()
    assert (changed != expected).any()
    loss.forward(x, others)
    np.testing.assert_array_equal(loss.backward(), changed)


def test_extreme_logits(backend):
    loss = SoftmaxCrossEntropy(backend=backend)
    assert loss.forward([[1e4, -1e4], [-1e4, 1e4]], [0, 0]) == pytest.approx(1e4)
    assert np.isfinite(loss.backward()).all()
    binary = BinaryCrossEntropy(backend=backend)
    assert binary.forward([1e4, -1e4, 0.0], [1, 1, 0.5]) == pytest.approx((1e4 + math.log(2)) / 3)
    assert np.isfinite(binary.backward()).all()
    np.testing.assert_allclose(binary.output, [1, 0, 0.5])


def test_all_weights_zero_is_no_division(backend):
    loss = SoftmaxCrossEntropy([0, 1], backend=backend)
    assert loss.forward([[1.0, 2.0]], [0]) == 0
    np.testing.assert_array_equal(loss.backward(), np.zeros((1, 2)))


def test_binary_cross_entropy(backend):
    loss = BinaryCrossEntropy(backend=backend)
    x, t = logits(), np.random.default_rng(1).random((6, 4))
    p = 1 / (1 + np.exp(-x))
    assert loss.forward(x, t) == pytest.approx(float(np.mean(-t * np.log(p) - (1 - t) * np.log(1 - p))), rel=1e-10)
    np.testing.assert_allclose(loss.output, p, rtol=1e-12)
    gradients.check_loss(loss, x, t)


def test_mean_squared_error(backend):
    loss = MeanSquaredError(backend=backend)
    x, t = np.random.default_rng(0).standard_normal((2, 3, 2, 2, 1))
    assert loss.forward(x, t) == pytest.approx(float(np.mean((x - t) ** 2)), rel=1e-12)
    np.testing.assert_array_equal(loss.output, x)
    np.testing.assert_allclose(loss.backward(), 2 * (x - t) / x.size)
    gradients.check_loss(loss, x, t)


@pytest.mark.parametrize("kind", [BinaryCrossEntropy, MeanSquaredError])
def test_a_column_and_a_vector_stand_for_each_other(backend, kind):
    loss = kind(backend=backend)
    x, t = np.array([0.5, -1.0, 2.0]), np.array([0.0, 1.0, 1.0])
    values = {loss.forward(a, b) for a in (x, x[:, None]) for b in (t, t[:, None])}
    assert len(values) == 1
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: y_true must have shape \(3, 1\), got \(2,\)$"):
        loss.forward(x[:, None], t[:2])


def test_dtype_follows_the_predictions(backend):
    loss = SoftmaxCrossEntropy(backend=backend)
    for given, dtype in ((np.float32, np.float32), (np.float64, np.float64), (np.float16, np.float32), (int, "f4")):
        loss.forward(logits().astype(given), LABELS)
        assert loss.backward().dtype == loss.output.dtype == dtype
    wide = SoftmaxCrossEntropy(dtype="float64", backend=backend)
    wide.forward(logits().astype(np.float32), LABELS)
    assert wide.backward().dtype == np.float64


def test_results_are_never_overwritten_while_held(backend):
    loss = SoftmaxCrossEntropy(backend=backend)
    held = []
    for seed in range(6):
        loss.forward(logits(seed=seed), LABELS)
        held += [(a, a.copy()) for a in (loss.output, loss.backward())]
    for array, copy in held:
        np.testing.assert_array_equal(array, copy)


def test_config(backend):
    loss = SoftmaxCrossEntropy([1, 2], 0.1, dtype="float64", backend=backend)
    assert SoftmaxCrossEntropy(**loss.config()).config() == loss.config()
    assert BinaryCrossEntropy(**BinaryCrossEntropy().config()).dtype is None


@pytest.mark.parametrize("kind", [SoftmaxCrossEntropy, BinaryCrossEntropy, MeanSquaredError])
def test_call_order(kind):
    loss = kind(backend="numpy")
    with pytest.raises(RuntimeError, match=f"^{kind.__name__}: backward needs a forward before it$"):
        loss.backward([1])
    with pytest.raises(RuntimeError, match=f"^{kind.__name__}: output needs a forward before it$"):
        loss.output  # noqa: B018


@pytest.mark.parametrize(
    ("y_true", "error", "message"),
    [
        ([0, 4, 1, 1, 2, 0], ValueError, r"y_true must be class numbers in 0\.\.3, got 4 in row 1"),
        ([0, 3, 1, -1, 2, 0], ValueError, r"y_true must be class numbers in 0\.\.3, got -1 in row 3"),
        ([0, 3, 1, 1, 2.5, 0], ValueError, "y_true must be whole class numbers, got 2.5 in row 4"),
        ([0, 3, 1, 1, 2, math.nan], ValueError, "y_true must be whole class numbers, got nan in row 5"),
        ([0, 3, 1, 1, 2, math.inf], ValueError, r"y_true must be class numbers in 0\.\.3, got inf in row 5"),
        ([0, 3, 1], ValueError, r"y_true must have shape \(6,\) or \(6, 4\), got \(3,\)"),
        (np.eye(5)[LABELS], ValueError, r"y_true must have shape \(6,\) or \(6, 4\), got \(6, 5\)"),
        (np.eye(4)[LABELS] / 2, ValueError, r"y_true must be one-hot or probabilities \(sum 1\), got \[.*\] in row 0"),
        (np.zeros((6, 4)), ValueError, r"y_true must be one-hot \(one 1, else 0\), got \[.*\] in row 0"),
        (["cat"] * 6, TypeError, "y_true must hold real numbers, got dtype <U3"),
    ],
)
def test_wrong_labels(y_true, error, message):
    loss = SoftmaxCrossEntropy(backend="numpy")
    with pytest.raises(error, match=f"^SoftmaxCrossEntropy: {message}$"):
        loss.forward(logits(), y_true)
    loss.forward(logits(), LABELS)
    with pytest.raises(error, match=f"^SoftmaxCrossEntropy: {message}$"):
        loss.backward(y_true)


def test_a_row_of_many_classes_is_shown_in_one_line():
    with pytest.raises(ValueError, match=r"got \[0\.5 0\.5 0\.5 \.\.\. 0\.5 0\.5 0\.5\] in row 0$"):
        SoftmaxCrossEntropy(backend="numpy").forward(np.ones((2, 100)), np.full((2, 100), 0.5))


def test_other_refusals():
    with pytest.raises(ValueError, match=r"^SoftmaxCrossEntropy: logits must have shape \(N, C\), got \(6,\)$"):
        SoftmaxCrossEntropy(backend="numpy").forward(np.ones(6), LABELS)
    with pytest.raises(ValueError, match=r"^SoftmaxCrossEntropy: logits must have shape \(N, 2\), got \(6, 4\)$"):
        SoftmaxCrossEntropy([1, 2], backend="numpy").forward(logits(), LABELS)
    with pytest.raises(ValueError, match="^SoftmaxCrossEntropy: logits must not be empty, got shape"):
        SoftmaxCrossEntropy(backend="numpy").forward(np.ones((0, 4)), [])
    with pytest.raises(ValueError, match="^SoftmaxCrossEntropy: class_weights must be >= 0 and finite, got"):
        SoftmaxCrossEntropy([1, -2])
    with pytest.raises(ValueError, match="^SoftmaxCrossEntropy: label_smoothing must be >= 0 and <= 1, got 2$"):
        SoftmaxCrossEntropy(label_smoothing=2)
    with pytest.raises(ValueError, match=r"^BinaryCrossEntropy: y_true must be in 0\.\.1, got 2\.0 in row 1$"):
        BinaryCrossEntropy(backend="numpy").forward([[0.5, 1], [1, 1]], [[0, 1], [2, 0]])
    with pytest.raises(ValueError, match="^MeanSquaredError: y_true must be finite, got nan in row 1$"):
        MeanSquaredError(backend="numpy").forward([0.5, 1], [0, math.nan])
    with pytest.raises(ValueError, match=r"^MeanSquaredError: y_true must have shape \(2, 3\), got \(2,\)$"):
        MeanSquaredError(backend="numpy").forward(np.ones((2, 3)), [0, 1])
    with pytest.raises(TypeError, match="^Loss must define _targets$"):
        Loss().forward([1.0], [1.0])
