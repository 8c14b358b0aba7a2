"""The compiled products of bf16."""

from dataclasses import replace

import naive
import numpy as np
import pytest
import threads
from checks import conv, dense
from checks.common import blank
from checks.memory import guarded_end, guarded_start
from hypothesis import assume, given
from hypothesis import strategies as st

from fastnn import kernels, reference
from fastnn.kernels import _amx, _simd, bf16
from fastnn.reference import bf16 as rounding

needs_amx = pytest.mark.skipif(not _amx.HAS_AMX, reason="this CPU has no tiles")
pytestmark = pytest.mark.skipif(not _simd.HAS_BF16, reason="this CPU has no products of bf16")

DENSE = [
    dense.DenseCase(130, 129, 127, activation=1),  # odd sums: the last pair has one number
    dense.DenseCase(17, 1501, 90, activation=9),
    dense.DenseCase(33, 771, 91, bias=False),
    dense.DenseCase(300, 1500, 530),  # several blocks of rows
    dense.DenseCase(1501, 270, 530),  # packed blocks of pairs
    dense.DenseCase(200, 60, 1901),  # packed panels in the input gradient
    dense.DenseCase(1025, 64, 33, activation=4),
]
_SAME = {"padding": (1, 1), "after": (1, 1)}
DIRECT = [
    conv.Conv2DCase(4, (16, 15), 32, 64, (5, 4), padding=(2, 2), after=(2, 1), activation=1),
    conv.Conv2DCase(5, (13, 14), 33, 47, (5, 3), padding=(0, 2), after=(3, 1), bias=False),  # odd channels and images
    conv.Conv2DCase(9, (17, 16), 48, 40, (3, 3), stride=(2, 2), after=(1, 1), activation=4),
    conv.Conv2DCase(8, (16, 16), 64, 65, (1, 1)),
    conv.Conv2DCase(1, (20, 33), 34, 66, (3, 3), dilation=(2, 1), **_SAME),  # one image: pairs with nothing
    conv.Conv2DCase(7, (12, 12), 34, 76, (3, 3), groups=2, **_SAME),
    conv.Conv2DCase(3, (21, 20), 35, 36, (4, 3), stride=(1, 3), padding=(5, 4), after=(4, 5), activation=9),
]
_WIDE = [case for case in conv.WINOGRAD_EXAMPLES if case.c * case.k > 2000 and case.size == (3, 3)]
WINOGRAD = [replace(case, activation=0) for case in _WIDE]


def dense_pays(case):
    """Whether the case's products are of bf16."""
    return bf16.dense_pays.py_func(case.n, case.c, case.k)


def conv_pays(case):
    """Whether the case's products are of bf16."""
    _, w, _, dz = case.arrays()
    return bf16.conv_pays.py_func(dz.shape, w.shape, case.stride, case.dilation, case.groups)


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", DENSE, ids=str)
def test_dense_products_are_those_of_rounded_numbers(case, place):
    dense.check_dense(bf16, case, place, rounding if dense_pays(case) else reference)


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", DIRECT, ids=str)
def test_convolutions_are_those_of_rounded_numbers(case, place):
    conv.check_conv2d(bf16, case, place, rounding if conv_pays(case) else reference)


@st.composite
def large_dense_cases(draw):
    """Shapes whose products are of bf16, with whole and partial tiles."""
    n, c = draw(st.integers(64, 300)), draw(st.integers(32, 300))
    k = draw(st.integers(max(32, (1 << 21) // (n * c) + 1), 2400))
    return dense.DenseCase(n, c, k, draw(st.booleans()), draw(st.sampled_from([0, 1, 4])))


@needs_amx
@given(large_dense_cases())
def test_dense_tiles_of_any_shape(case):
    dense.check_dense(bf16, case, guarded_end, rounding)


@st.composite
def tiled_conv_cases(draw):
    """Any geometry of one group whose images are worth the copies."""
    case = draw(conv.conv2d_cases(("float32",)))
    c, k, more = draw(st.integers(16, 80)), draw(st.integers(16, 80)), draw(st.integers(0, 20))
    image = (case.image[0] + more, case.image[1] + draw(st.integers(0, 20)))
    return replace(case, c=c, k=k, groups=1, image=image, activation=draw(st.sampled_from([0, 1, 4])))


@needs_amx
@given(tiled_conv_cases())
def test_convolutions_by_tiles_of_any_shape(case):
    assume(conv_pays(case))
    conv.check_conv2d(bf16, case, guarded_end, rounding)


def test_the_cases_take_the_path_they_are_for():
    assert all(dense_pays(case) or (_amx.HAS_AMX and case.n < 64) for case in DENSE)
    for cases in (DIRECT, WINOGRAD):
        for case in cases:
            _, w, _, dz = case.arrays()
            place = (dz.shape, w.shape, case.stride, case.dilation, case.groups)
            assert conv_pays(case) or (_amx.HAS_AMX and case.groups > 1), case
            assert bf16.is_winograd.py_func(*place) == (cases is WINOGRAD), case


def test_the_check_of_rounding_can_fail():
    with pytest.raises(AssertionError):
        dense.check_dense(bf16, DENSE[0], oracle=reference)


@pytest.mark.parametrize("case", DENSE, ids=str)
def test_dense_errors_are_within_the_bound(case):
    """Two operands, each rounded by at most 2**-9 of itself: 2**-8 of the sum of the products' sizes."""
    x, w, b, dz = case.arrays()
    y, dw, _, dx = dense_run(bf16, x, w, b[:0], dz, 0)
    x, w, dz = (a.astype(np.float64) for a in (x, w, dz))
    for actual, left, right in ((y, x, w), (dw, x.T, dz), (dx, dz, w.T)):
        assert np.all(np.abs(actual - left @ right) <= (2**-8 + 2**-14) * (np.abs(left) @ np.abs(right)))


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", WINOGRAD, ids=str)
def test_winograd_errors(case, place):
    """Errors of y, dw, db, dx relative to the largest element. Measured: up to 5.2e-3; direct products: 2.9e-3.

    The transforms add up to four numbers before they are rounded, and up to nine products afterwards.
    """
    for actual, expected in zip(conv_results(case, place=place), exact(case), strict=True):
        assert np.abs(actual - expected).max(initial=0) <= 1e-2 * np.abs(expected).max(initial=0)


@pytest.mark.parametrize("case", [dense.DenseCase(20, 30, 40), dense.DenseCase(1, 784, 256)], ids=str)
def test_small_products_are_those_of_float32(case):
    for ours, full in zip(dense_results(case), dense_results(case, kernels), strict=True):
        assert ours.tobytes() == full.tobytes()


def test_few_channels_are_those_of_float32():
    case = conv.Conv2DCase(8, (28, 28), 1, 32, (3, 3), **_SAME)
    for ours, full in zip(conv_results(case), conv_results(case, kernels), strict=True):
        assert ours.tobytes() == full.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_dense_nan_and_infinity_stay(bad):
    x, w, b, dz = DENSE[0].arrays()
    x[3, 128] = dz[5, 126] = bad  # in the second half of a pair, and in one alone
    for actual, expected in zip(*(dense_run(ops, x, w, b, dz, 0) for ops in (bf16, kernels)), strict=True):
        np.testing.assert_array_equal(np.nan_to_num(actual[~np.isfinite(expected)]),
                                      np.nan_to_num(expected[~np.isfinite(expected)]))  # fmt: skip
        np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))


@pytest.mark.parametrize("case", [DIRECT[1], WINOGRAD[2]], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_in_an_image_is_not_lost(case, bad):
    x, w, b, dz = case.arrays()
    x[1, 5, 5, 32] = dz[0, 3, 3, 1] = bad
    with np.errstate(invalid="ignore"):
        results = [conv_run(ops, case, x, w, b, dz) for ops in (bf16, naive)]
    for actual, expected in zip(*results, strict=True):
        assert not np.isfinite(actual[~np.isfinite(expected)]).any()
        if case in DIRECT:  # Winograd's whole tiles are not
            assert np.isfinite(actual).sum() == np.isfinite(expected).sum()


def test_scratch_may_be_larger_than_asked_for():
    """Layers of one model share one scratch array."""
    for exact_, roomy in zip(dense_results(DENSE[1]), dense_results(DENSE[1], more=1000), strict=True):
        assert exact_.tobytes() == roomy.tobytes()
    for case in (DIRECT[1], WINOGRAD[1]):
        for exact_, roomy in zip(conv_results(case), conv_results(case, more=1000), strict=True):
            assert exact_.tobytes() == roomy.tobytes()


def threaded_outputs():
    yield from dense_results(DENSE[2])
    yield from dense_results(DENSE[3])
    for case in (*DIRECT[:3], *WINOGRAD[:2], conv.Conv2DCase(19, (14, 14), 32, 64, (3, 3), **_SAME)):
        yield from conv_results(case)


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_bf16"))) == 1


def dense_results(case, ops=bf16, more=0):
    return dense_run(ops, *case.arrays(), case.activation, more)


def dense_run(ops, x, w, b, dz, activation, more=0):
    """y, dw, db, dx."""
    y, dw, db, dx = (blank(a.shape, a.dtype) for a in (dz, w, b, x))
    scratch = blank(ops.dense_scratch_size(*x.shape, w.shape[1]) + more, x.dtype)
    ops.dense_forward(x, w, b, activation, 0.0, scratch, y)
    ops.dense_weight_gradient(x, dz, scratch, dw, db)
    ops.dense_input_gradient(dz, w, x[:0], scratch, dx)
    return y, dw, db, dx


def conv_results(case, ops=bf16, more=0, place=np.array):
    return conv_run(ops, case, *(place(a) for a in case.arrays()), more, place)


def exact(case):
    """The results in float64, of numbers that are not rounded."""
    return conv_run(reference, replace(case, dtype="float64"), *(a.astype(np.float64) for a in case.arrays()))


def conv_run(ops, case, x, w, b, dz, more=0, place=np.array):
    """y, dw, db, dx."""
    y, dw, db, dx = (place(blank(a.shape, a.dtype)) for a in (dz, w, b, x))
    scratch = place(blank(case.scratch(ops).size + more, x.dtype))
    ops.conv2d_forward(x, w, b, *case.geometry, case.activation, case.alpha, scratch, y)
    ops.conv2d_weight_gradient(x, dz, *case.geometry, scratch, dw, db)
    ops.conv2d_input_gradient(dz, w, *case.geometry, scratch, dx)
    return y, dw, db, dx
