"""Kernels of the losses: the oracle, the NumPy path on many chunks, and any thread count."""

import numpy as np
import pytest
import threads
from checks import loss
from checks.common import FLOATS, blank, close, run
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import kernels, reference

PLACES = [guarded_end, guarded_start]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", loss.CROSS_ENTROPY_EXAMPLES, ids=str)
def test_softmax_cross_entropy(case, place):
    loss.check_softmax_cross_entropy(kernels, case, place)
    loss.check_soft_cross_entropy(kernels, case, place)


@given(loss.cross_entropy_cases())
def test_any_softmax_cross_entropy(case):
    loss.check_softmax_cross_entropy(kernels, case)
    loss.check_soft_cross_entropy(kernels, case)
    loss.check_one_hot_cross_entropy(kernels, case)


@given(loss.cross_entropy_cases())
def test_softmax_cross_entropy_gradient(case):
    loss.check_softmax_cross_entropy_gradient(kernels, case)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", loss.ELEMENT_LOSS_EXAMPLES, ids=str)
def test_element_losses(case, place):
    loss.check_element_losses(kernels, case, place)
    loss.check_total_loss(kernels, case, place)


@given(loss.element_loss_cases())
def test_any_element_losses(case):
    loss.check_element_losses(kernels, case)


@given(loss.element_loss_cases())
def test_element_loss_gradients(case):
    loss.check_element_loss_gradients(kernels, case)


def _all(ops, rows, dtype):
    """The outputs of all losses on (rows, 10) numbers."""
    rng = np.random.default_rng(0)
    logits = (3 * rng.standard_normal((rows, 10))).astype(dtype)
    labels, weights = rng.integers(0, 10, rows), rng.uniform(0.5, 2, 10).astype(dtype)
    outputs = run(
        *(ops.softmax_cross_entropy_forward, logits, labels, weights, 0.1),
        *(blank(logits.shape, dtype), blank(rows, dtype)),
        outputs=2,
    )
    gradient = (ops.softmax_cross_entropy_backward, outputs[0], labels, weights, 0.1, 0.5, blank(logits.shape, dtype))
    outputs += run(*gradient)
    soft, rest = (0.7 * np.eye(10) + 0.03)[labels].astype(dtype), (weights, 0.1)
    forward = (ops.soft_cross_entropy_forward, logits, soft, *rest)
    outputs += run(*forward, blank(logits.shape, dtype), blank(rows, dtype), outputs=2)
    outputs += run(ops.soft_cross_entropy_backward, outputs[0], soft, *rest, 0.5, blank(logits.shape, dtype))
    flat, out = logits.reshape(-1), blank(logits.size, dtype)
    targets = rng.uniform(0, 1, flat.size).astype(dtype)
    for name in ("binary_cross_entropy", "mean_squared_error"):
        outputs += run(getattr(ops, f"{name}_forward"), flat, targets, out)
        outputs += run(getattr(ops, f"{name}_backward"), flat, targets, 0.5, out)
    return outputs


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rows", [1638, 1639, 5000])
def test_many_chunks_equal_the_reference(rows, dtype):
    for actual, expected in zip(_all(kernels, rows, dtype), _all(reference, rows, dtype), strict=True):
        close(actual, expected, terms=20)


@pytest.mark.parametrize("dtype", FLOATS)
def test_losses_keep_their_digits_far_from_zero(dtype):
    """log(sum exp(z - top)) is lost when it is added to a large top; it must not be."""
    logits = np.array([[1e6, 1e6 - 0.5, 0.0] + [-1e6] * 40], dtype)
    outputs = (blank(logits.shape, dtype), blank(1, dtype))
    arguments = (logits, np.array([0]), logits[0, :0], 0.0, *outputs)
    _, losses = run(kernels.softmax_cross_entropy_forward, *arguments, outputs=2)
    np.testing.assert_allclose(losses, np.log1p(np.exp(-0.5)), rtol=4 * np.finfo(dtype).eps)
    (log_y,) = run(kernels.log_softmax_forward, logits, outputs[0])
    np.testing.assert_allclose(log_y[0, 0], -np.log1p(np.exp(-0.5)), rtol=4 * np.finfo(dtype).eps)


def threaded_outputs():
    return _all(kernels, 5000, "float32")


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_loss"))) == 1
