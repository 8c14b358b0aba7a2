"""bf16 in NumPy: rounding, and the same names and signatures everywhere."""

import inspect

import numpy as np
import pytest
from checks.dense import DenseCase

from fastnn import kernels, reference
from fastnn.kernels import bf16 as compiled
from fastnn.reference import bf16

STEP = 2.0**-7  # from 1 to the next bf16


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_is_to_the_nearest_and_of_two_to_the_even_one(dtype):
    numbers = np.array([1, 1 + STEP / 2, 1 + STEP * 0.51, 1 + STEP * 1.5, 1 + STEP, -3.0e-5, 0, 3.3e38, 3.4e38], dtype)
    expected = [1, 1, 1 + STEP, 1 + 2 * STEP, 1 + STEP, -3.0040741e-05, 0, 3.3e38, np.inf]
    rounded = bf16.rounded(numbers)
    assert rounded.dtype == dtype
    np.testing.assert_allclose(rounded, expected, rtol=2**-9, atol=0)
    np.testing.assert_array_equal(rounded[:6], np.array(expected[:6], np.float32))
    assert not (rounded[:8].astype(np.float32).view(np.uint32) & 0xFFFF).any()
    np.testing.assert_array_equal(bf16.rounded(rounded), rounded)


def test_nan_and_infinity_stay():
    numbers = np.array([np.nan, np.inf, -np.inf], np.float32)
    numbers[:1].view(np.uint32)[:] = 0xFFFFFFFF  # a NaN that a carry would make 0
    np.testing.assert_array_equal(bf16.rounded(numbers), [np.nan, np.inf, -np.inf])


@pytest.mark.parametrize("name", bf16.__all__)
def test_all_twins_have_one_signature(name):
    twins = [getattr(module, name) for module in (bf16, compiled, reference, kernels)]
    names = [list(inspect.signature(getattr(twin, "py_func", twin)).parameters) for twin in twins]
    assert names == names[:1] * 4


def test_biases_of_a_dense_layer_are_not_rounded():
    x, w, b, dz = DenseCase(9, 4, 5).arrays()
    dw, db = np.empty_like(w), np.empty_like(b)
    bf16.dense_weight_gradient(x, dz, x[:0, 0], dw, db)
    np.testing.assert_array_equal(db, dz.sum(axis=0))
    np.testing.assert_array_equal(dw, bf16.rounded(x).T @ bf16.rounded(dz))
