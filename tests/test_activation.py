"""Kernels of activations, clipping, softmax, dropout: the oracle, the NumPy path on many chunks, any thread count."""

import numpy as np
import pytest
import threads
from checks import activation
from checks.common import FLOATS, blank, close, in_place, run
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import kernels, reference
from fastnn.kernels import activation as codes

LARGE = (1023, 1025, 16384, 50_001)
PLACES = [guarded_end, guarded_start]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", activation.ACTIVATION_EXAMPLES, ids=str)
def test_activations(case, place):
    activation.check_activation(kernels, case, place)


@given(activation.activation_cases())
def test_any_activation(case):
    activation.check_activation(kernels, case)


@given(activation.activation_cases())
def test_activation_gradients(case):
    activation.check_activation_gradient(kernels, case)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", activation.ACTIVATION_EXAMPLES[:6], ids=str)
def test_clip(case, place):
    activation.check_clip(kernels, case, place)


@given(activation.activation_cases())
def test_any_clip(case):
    activation.check_clip(kernels, case)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("code", activation.ACTIVATIONS)
def test_nan_passes_through(code, dtype):
    activation.check_activation_passes_nan(kernels, code, dtype)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", activation.SOFTMAX_EXAMPLES, ids=str)
def test_softmax(case, place):
    activation.check_softmax(kernels, case, place)


@given(activation.softmax_cases())
def test_any_softmax(case):
    activation.check_softmax(kernels, case)


@given(activation.softmax_cases())
def test_softmax_gradients(case):
    activation.check_softmax_gradients(kernels, case)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", activation.DROPOUT_EXAMPLES, ids=str)
def test_dropout(case, place):
    activation.check_dropout(kernels, case, place)


@given(activation.dropout_cases())
def test_any_dropout(case):
    activation.check_dropout(kernels, case)


@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout_keeps_its_share(dtype):
    activation.check_dropout_keeps_its_share(kernels, dtype)


def test_codes_are_those_of_the_reference():
    names = [name for name in vars(codes) if name.isupper() and not name.startswith("_")]
    assert len(set(names) & set(vars(reference.activation))) == len(activation.ACTIVATIONS)
    for name in set(names) & set(vars(reference.activation)):
        assert getattr(codes, name) == getattr(reference.activation, name)


def _all(ops, size, dtype):
    """The outputs of all operations on vectors of `size`, and on rows of 10."""
    rng = np.random.default_rng(size)
    x, dy, out = *(rng.standard_normal(size).astype(dtype) for _ in range(2)), blank(size, dtype)
    outputs = []
    for code in activation.ACTIVATIONS:
        (y,) = run(ops.activation_forward, code, 0.5, x, out)
        outputs += [y, *run(ops.activation_backward, code, 0.5, x, y, dy, out)]
    outputs += run(ops.clip_forward, -0.5, 1.0, x, out)
    outputs += run(ops.clip_backward, -0.5, 1.0, outputs[-1], dy, out)
    outputs += run(ops.dropout_forward, 0.3, 12345, x, out) + run(ops.dropout_backward, 0.3, 12345, dy, out)
    rows, drows, blank_rows = (a[: size // 10 * 10].reshape(-1, 10) for a in (x, dy, out))
    for name in ("softmax", "log_softmax"):
        (y,) = run(getattr(ops, f"{name}_forward"), rows, blank_rows)
        outputs += [y, *run(getattr(ops, f"{name}_backward"), y, drows, blank_rows)]
    return outputs


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", LARGE)
def test_many_blocks_and_chunks_equal_the_reference(size, dtype):
    for actual, expected in zip(_all(kernels, size, dtype), _all(reference, size, dtype), strict=True):
        close(actual, expected, terms=10)


@pytest.mark.parametrize("code", activation.ACTIVATIONS)
def test_many_chunks_in_place(code):
    x = np.random.default_rng(0).standard_normal(40_000).astype(np.float32)
    in_place(kernels.activation_forward, code, 0.5, x, x.copy(), source=2)


def test_activate_span_leaves_the_rest_alone():
    x = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    (y,) = run(codes.activate_span, codes.TANH, 0.0, x, 100, 4000, np.zeros_like(x))
    np.testing.assert_allclose(y[100:4000], np.tanh(x[100:4000]), rtol=1e-6)
    assert not np.concatenate([y[:100], y[4000:]]).any()


def threaded_outputs():
    return _all(kernels, LARGE[-1], "float32")


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_activation"))) == 1
