"""The compiled dense products."""

import numpy as np
import pytest
import threads
from checks import dense
from checks.common import blank
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import kernels, reference
from fastnn.kernels._features import HAS_FAR_CACHES
from fastnn.kernels.packed import is_packed_product
from fastnn.kernels.strassen import is_strassen


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", dense.DENSE_EXAMPLES, ids=str)
def test_awkward_shapes(case, place):
    dense.check_dense(kernels, case, place)


@given(dense.dense_cases())
def test_any_shape(case):
    dense.check_dense(kernels, case)


@given(dense.dense_cases(largest=9))
def test_gradients(case):
    dense.check_dense_gradients(kernels, case)


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("n", "c", "k"),
    [
        (130, 1500, 530),  # packed blocks of w, columns over
        (300, 1500, 530),  # the same in several blocks of rows
        (1500, 270, 530),  # packed blocks in the weight gradient
        (385, 701, 600),  # one row, one column over in all three products
        (400, 129, 700),  # few columns of dx
        (129, 4100, 130),  # few outputs of a large layer
        (129, 20000, 30),  # fewer
        (300, 70, 513),  # two blocks of rows, one column over
        (65, 785, 256),  # rows of dz in few sets of the cache, x where it lies
        (65, 640, 256),  # the same, rows of x too
        (700, 10, 600),  # more blocks of rows than panels
        (129, 64, 65),  # transposed panels in the input gradient; one column over in the weight gradient
        (130, 300, 78),  # columns over in it, in two blocks of rows
        (127, 65, 300),  # flipped product, two blocks deep
        (1025, 9, 33),  # the weight gradient in parts
    ],
)
def test_blocked_shapes(n, c, k, dtype, place):
    dense.check_dense(kernels, dense.DenseCase(n, c, k, activation=1, dtype=dtype), place, reference)


JUST_STRASSEN = 1477, 1477, 1477  # all odd


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize(
    ("shape", "activation", "dtype"),
    [
        (JUST_STRASSEN, 1, "float32"),
        ((1025, 1761, 1792), 9, "float64"),  # odd rows and terms of forward
        ((1536, 2049, 1025), 9, "float32"),  # odd columns and terms of forward
        ((2048, 1024, 1536), 0, "float32"),
    ],
)
def test_strassen_shapes(shape, activation, dtype, place):
    """Where caches are far, these are packed products."""
    assert is_strassen.py_func(*shape) != HAS_FAR_CACHES
    assert is_packed_product.py_func(*shape, False, True) == HAS_FAR_CACHES
    dense.check_dense(kernels, dense.DenseCase(*shape, activation=activation, dtype=dtype), place, reference)


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("shape", [(2003, 37, 530), (2003, 512, 530), (1001, 301, 997)])
def test_many_samples(shape, place):
    """B is copied in the weight gradient; its other factor too where its rows, as in the second, share sets of L1."""
    dense.check_dense(kernels, dense.DenseCase(*shape), place, reference)


def test_strassen_error():
    """Of the largest result; sums of 1477 terms without Strassen's products: up to 0.7e-6."""
    x, w, _, dz = dense.DenseCase(*JUST_STRASSEN).arrays()
    scratch = blank(kernels.dense_scratch_size(*JUST_STRASSEN), "float32")
    y, dw, dx = (blank(a.shape, "float32") for a in (dz, w, x))
    kernels.dense_forward(x, w, x[0, :0], 0, 0.0, scratch, y)
    kernels.dense_weight_gradient(x, dz, scratch, dw, x[0, :0])
    kernels.dense_input_gradient(dz, w, x[:0], scratch, dx)
    for a, b, result in ((x, w, y), (x.T, dz, dw), (dz, w.T, dx)):
        exact = a.astype("float64") @ b.astype("float64")
        assert 0 < np.abs(result - exact).max() < 3e-6 * np.abs(exact).max()


@pytest.mark.parametrize(
    "shape", [(64, 8192, 8192), (1023, 4096, 4096), (4096, 1000, 4096), (4096, 4096, 10), (1400, 1400, 1400)]
)
def test_other_shapes_are_direct(shape):
    assert not is_strassen.py_func(*shape)
    assert HAS_FAR_CACHES or kernels.dense_scratch_size(*shape) == 0


def threaded_outputs():
    shapes = [(32, 784, 256), (64, 784, 256), (300, 1500, 530), (2000, 270, 530), (2000, 7, 33), (1101, 1501, 2048)]
    for n, c, k in shapes:
        x, w, b, dz = dense.DenseCase(n, c, k).arrays()
        y, dw, db, dx = (blank(a.shape, "float32") for a in (dz, w, b, x))
        scratch = blank(kernels.dense_scratch_size(n, c, k), "float32")
        kernels.dense_forward(x, w, b, 9, 0.0, scratch, y)
        kernels.dense_weight_gradient(x, dz, scratch, dw, db)
        kernels.dense_input_gradient(dz, w, x, scratch, dx)
        yield from (y, dw, db, dx)


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_dense"))) == 1


@pytest.mark.parametrize("shape", [(30, 9, 11), (1030, 9, 11), JUST_STRASSEN])
def test_scratch_may_be_larger_than_asked_for(shape):
    """Layers of one model share one scratch array."""
    x, w, b, dz = dense.DenseCase(*shape).arrays()
    size, results = kernels.dense_scratch_size(*shape), []
    for more in (0, 1000):
        dw, db, scratch = blank(w.shape, "float32"), blank(b.shape, "float32"), blank(size + more, "float32")
        kernels.dense_weight_gradient(x, dz, scratch, dw, db)
        results.append((dw.tobytes(), db.tobytes(), scratch[size:].tobytes() == blank(more, "float32").tobytes()))
    assert results[0] == results[1]
