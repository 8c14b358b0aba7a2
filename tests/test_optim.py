"""Kernels of updates, sums of gradients and clipping: the oracle, the NumPy path on many chunks, any thread count."""

import numpy as np
import pytest
import threads
from checks import optim
from checks.common import FLOATS, blank, close, run
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import kernels, reference

CHECKS = [optim.check_optimizers, optim.check_gradient_passes]


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", optim.OPTIMIZER_EXAMPLES, ids=str)
@pytest.mark.parametrize("check", CHECKS)
def test_awkward_sizes(check, case, place):
    check(kernels, case, place)


@given(optim.optimizer_cases())
def test_any_update(case):
    optim.check_optimizers(kernels, case)


@given(optim.optimizer_cases())
def test_any_gradient_pass(case):
    optim.check_gradient_passes(kernels, case)


def _all(ops, size, dtype):
    """The outputs of all operations on vectors of `size`."""
    rng = np.random.default_rng(0)
    dw, w, v = (rng.standard_normal(size).astype(dtype) for _ in range(3))
    s = v * v + dw.dtype.type(0.1)
    return [
        *run(ops.sgd_update, dw, 0.1, 0.9, True, 0.01, v, w, outputs=2),
        *run(ops.sgd_update, dw, 0.1, 0.0, False, 0.01, v[:0], w, outputs=2),
        *run(ops.rmsprop_update, dw, 0.1, 0.9, 1e-8, 0.9, s, v, w, outputs=3),
        *run(ops.adam_update, dw, 0.1, 0.9, 0.999, 1e-8, 0.01, True, 10, v, s, w, outputs=3),
        *run(ops.accumulate_gradients, 0.25, 0, w, dw, outputs=2),
        *run(ops.clip_by_value, 0.5, dw),
        *run(ops.clip_by_norm, 0.5, np.array([np.square(dw, dtype="float64").sum()]), dw),
        *run(ops.sum_of_squares, dw, blank(1, "float64")),
    ]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [16384, 16385, 100_003])
def test_many_chunks_equal_the_reference(size, dtype):
    for actual, expected in zip(_all(kernels, size, dtype), _all(reference, size, dtype), strict=True):
        close(actual, expected, terms=20)


@pytest.mark.parametrize("dtype", FLOATS)
def test_memory_of_dead_weights_becomes_zero(dtype):
    """And never subnormal, which makes some CPUs slow; NaN stays."""
    tiny = np.finfo(dtype).tiny
    memory = np.array([tiny, -tiny, 1.5 * tiny, -0.25 * tiny, 1, np.nan, 0], dtype)
    kept = memory[4:]
    dw, w = np.zeros_like(memory), np.ones_like(memory)

    def check(result, factor):
        np.testing.assert_allclose(result[:4], [0, 0, 0 if factor < 0.6 else factor * memory[2], 0], rtol=1e-6)
        np.testing.assert_allclose(result[4:], factor * kept, rtol=1e-6)

    check(run(kernels.sgd_update, dw, 0.1, 0.9, False, 0.0, memory, w, outputs=2)[0], 0.9)
    size = np.abs(memory)
    s, v, _ = run(kernels.rmsprop_update, dw, 0.1, 0.5, 1e-8, 0.9, size, memory, w, outputs=3)
    check(v, 0.9)
    np.testing.assert_array_equal(s, [0, 0, 0, 0, 0.5, np.nan, 0])
    m, s, _ = run(kernels.adam_update, dw, 0.1, 0.5, 0.9, 1e-8, 0.0, False, 5, memory, size, w, outputs=3)
    check(m, 0.5)
    np.testing.assert_allclose(s[:4], [0, 0, np.float64(0.9) * 1.5 * tiny, 0], rtol=1e-6)


def threaded_outputs():
    return _all(kernels, 100_003, "float32")


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_optim"))) == 1
