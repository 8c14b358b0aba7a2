"""Batch normalisation kernels: the oracle, the NumPy path on many tiles, and any thread count."""

import numpy as np
import pytest
import threads
from checks import norm
from checks.common import FLOATS, blank, close, run
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import kernels, reference

LARGE = [(50_000, 1), (20_000, 6), (5001, 64), (700, 65), (100, 1030), (33, 2100), (1100, 300), (7, 200)]


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", norm.NORM_EXAMPLES, ids=str)
def test_awkward_shapes(case, place):
    norm.check_batch_norm(kernels, case, place)
    norm.check_batch_norm_follow(kernels, case, place)


@given(norm.norm_cases())
def test_any_shape(case):
    norm.check_batch_norm(kernels, case)


@given(norm.norm_cases())
def test_gradients(case):
    norm.check_batch_norm_gradients(kernels, case)


@pytest.mark.parametrize("dtype", FLOATS)
def test_variance_keeps_its_digits(dtype):
    norm.check_batch_norm_is_stable(kernels, dtype)


def _all(ops, shape, dtype):
    """The outputs of all operations on x of `shape`."""
    rng = np.random.default_rng(0)
    x, dy = (3 + rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)
    gamma, beta = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    mean, var = x.mean(axis=0, dtype=float).astype(dtype), x.var(axis=0, dtype=float).astype(dtype)
    channel, out = blank(shape[1], dtype), blank(shape, dtype)
    scratch = blank(ops.batch_norm_scratch_size(*shape), dtype)
    outputs = []
    for skip, rectify in ((x[:0], False), (dy, True)):
        training = (x, gamma, beta, 1e-5, skip, rectify, scratch, channel, channel, out)
        outputs += run(ops.batch_norm_forward, *training, outputs=4)[1:]
        outputs += run(ops.batch_norm_inference, x, gamma, beta, mean, var, 1e-5, skip, rectify, out)
        passed = dy
        if rectify:  # whether ReLU passes what lies around 0 may be rounding's choice
            y = (x - mean) / np.sqrt(var + 1e-5) * gamma + beta
            passed = np.where(np.abs(y) < 1e-3, 0, dy).astype(dtype)
        for operation in (ops.batch_norm_backward, ops.batch_norm_inference_backward):
            arguments = (x, gamma, beta, mean, var, 1e-5, rectify, passed, scratch, out, channel, channel)
            outputs += run(operation, *arguments, outputs=4)[1:]
    return outputs


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_many_tiles_equal_the_reference(shape, dtype):
    for actual, expected in zip(_all(kernels, shape, dtype), _all(reference, shape, dtype), strict=True):
        close(actual, expected, terms=2 * shape[0])


def threaded_outputs():
    return [array for shape in LARGE for array in _all(kernels, shape, "float32")]


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_norm"))) == 1
