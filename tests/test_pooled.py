"""Kernels of convolution with pooling: the oracle on awkward and random shapes, and any thread count."""

import numpy as np
import pytest
import threads
from checks import pooled
from checks.common import blank, run
from checks.memory import guarded_end, guarded_start
from hypothesis import given

import fastnn as fn
from fastnn import kernels, reference
from fastnn.kernels._emitter import VECTOR_BYTES
from fastnn.kernels._picked import HAS_PICKS
from fastnn.kernels.lanewise import is_lanewise
from fastnn.kernels.picked import is_picked

LARGE = [
    pooled.PooledCase(64, (28, 28), 1, 6, (5, 5), padding=(2, 2), after=(2, 2)),
    pooled.PooledCase(70, (28, 28), 1, 32, (3, 3), padding=(1, 1), after=(1, 1)),
    pooled.PooledCase(33, (32, 32), 3, 16, (5, 5), rectify=False),
    pooled.PooledCase(17, (30, 28), 2, 70, (5, 5)),  # more places than one go has room for
]
ACCURATE = [
    pooled.PooledCase(64, (14, 14), 12, 16, (5, 5), bias=False),
    pooled.PooledCase(64, (28, 28), 1, 16, (5, 5), bias=False),
]
SINGLE = pytest.mark.skipif(VECTOR_BYTES < 32, reason="their vectors have 8 numbers and more")
PICKED = pytest.mark.skipif(not HAS_PICKS, reason="only AVX has the instruction that picks")


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", pooled.POOLED_EXAMPLES, ids=str)
def test_awkward_shapes(case, place):
    pooled.check_pooled(kernels, case, place)


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", pooled.WINOGRAD_EXAMPLES, ids=str)
def test_winograd_shapes(case, place):
    pooled.check_inner(kernels, case, place)


@SINGLE
@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", pooled.SINGLE_EXAMPLES, ids=str)
def test_gradients_of_single_places(case, place):
    pooled.check_inner(kernels, case, place)


@SINGLE
@given(pooled.single_cases())
def test_gradients_of_single_places_of_any_shape(case):
    pooled.check_inner(kernels, case)


@SINGLE
@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", pooled.LANEWISE_EXAMPLES, ids=str)
def test_winograd_with_images_as_lanes(case, place):
    assert is_lanewise.py_func((5, 5, case.c, case.k), case.outputs[1], 4)
    pooled.check_outputs(kernels, case, place)


@PICKED
@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", pooled.PICKED_EXAMPLES, ids=str)
def test_outputs_as_lanes(case, place):
    assert is_picked.py_func((3, 3, case.c, case.k), case.outputs[1], 4)
    pooled.check_picked(kernels, case, place, oracle=reference)


@PICKED
@given(pooled.picked_cases())
def test_outputs_as_lanes_of_any_shape(case):
    pooled.check_picked(kernels, case)


@SINGLE
@pytest.mark.parametrize("case", ACCURATE, ids=str)
def test_images_as_lanes_are_accurate(case):
    x, w, b, dy = case.arrays()
    results = []
    for ops, dtype in ((kernels, "float32"), (reference, "float64")):
        index, y = blank(dy.shape, "uint16"), blank(dy.shape, dtype)
        given = (a.astype(dtype) for a in (x, w, b))
        ops.conv2d_pool_forward(*given, (0, 0), False, blank(0, dtype), index, y)
        results.append(y)
    assert np.abs(results[0] - results[1]).max() < 2e-6 * np.abs(results[1]).max()


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", pooled.FEW_EXAMPLES, ids=str)
def test_pixels_as_lanes(case, place):
    pooled.check_pooled_inference(kernels, case, place)


@given(pooled.few_cases())
def test_pixels_as_lanes_of_any_shape(case):
    pooled.check_pooled_inference(kernels, case)


@pytest.mark.parametrize(
    ("x", "w", "itemsize"),
    [
        ((16, 28, 28, 1), (5, 5, 1, 6), 4),  # as many images as lanes
        ((1, 28, 28, 1), (5, 5, 1, 6), 8),
        ((1, 28, 28, 1), (5, 5, 1, 65), 4),
        ((1, 28, 28, 2), (5, 5, 2, 16), 4),
        ((1, 28, 28, 9), (5, 5, 9, 6), 4),
        ((1, 8, 300, 1), (1, 65, 1, 6), 4),  # taps farther than what lies behind a row
        ((1, 9, 9000, 1), (3, 3, 1, 6), 4),  # rows too long
    ],
)
def test_pixels_are_no_lanes_of_other_shapes(x, w, itemsize):
    p, q = ((size - taps + 1) // 2 for size, taps in zip(x[1:3], w[:2], strict=True))
    assert not kernels.has_conv2d_pool_inference(x, w, (x[0], p, q, w[3]), itemsize)


def test_a_model_predicts_one_image_as_many():
    model = fn.networks.lenet5((28, 28, 1), 10)
    model = fn.Sequential(model, (28, 28, 1), seed=0)
    x = np.random.default_rng(0).random((20, 28, 28, 1), np.float32)
    many = model.predict_proba(x)
    one_by_one = [model.predict_proba(image)[0] for image in x[:, None]]
    np.testing.assert_allclose(one_by_one, many, atol=1e-6)
    key = next(key for key in model._recordings if key[1] == 1)
    assert "conv2d_pool_inference" in [name for name, _ in model._recordings[key].calls()]


@PICKED
def test_outputs_as_lanes_keep_what_is_not_finite():
    x, w, b, dy = pooled.PICKED_EXAMPLES[0].arrays()
    x[1, 4, 4, 0] = np.nan
    index, y = blank(dy.shape, "uint16"), blank(dy.shape, "float32")
    kernels.conv2d_pool_forward(x, w, b, (1, 1), True, blank(0, "float32"), index, y)
    assert np.isnan(y[1, 1:3, 1:3]).all()
    assert (index[1, 1:3, 1:3] < 4).all()
    assert np.isfinite(y[0]).all()


@SINGLE
def test_images_as_lanes_keep_what_is_not_finite():
    x, w, b, dy = pooled.LANEWISE_EXAMPLES[1].arrays()
    x[1, 5, 6, 3] = np.nan
    index, y = blank(dy.shape, "uint16"), blank(dy.shape, "float32")
    kernels.conv2d_pool_forward(x, w, b, (0, 0), True, blank(0, "float32"), index, y)
    assert np.isnan(y[1, 1:3, 1:4]).all()
    assert np.isfinite(y[0]).all()
    assert (index[1, 1:3, 1:4] < 4).all()


def test_what_is_not_finite_in_an_image_is_not_lost():
    x, w, b, dy = pooled.WINOGRAD_EXAMPLES[0].arrays()
    x[1, 5, 6, 7], x[2, 13, 13, 0] = np.nan, -np.inf
    scratch = blank(kernels.conv2d_pool_scratch_size(x.shape, w.shape, dy.shape, 4, True), "float32")
    index, y = blank(dy.shape, "uint16"), blank(dy.shape, "float32")
    kernels.conv2d_pool_forward(x, w, b, (1, 1), True, scratch, index, y)
    assert np.isnan(y[1, 2:4, 2:4]).all()
    assert np.isnan(y[2, 6, 6]).all()
    assert np.isfinite(y[0]).all()
    assert (index[1, 2:4, 2:4] < 4).all()


@given(pooled.pooled_cases())
def test_any_shape(case):
    pooled.check_pooled(kernels, case)


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_large_images_equal_the_reference(case):
    pooled.check_pooled(kernels, case, oracle=reference)


def threaded_outputs():
    outputs = []
    for case in LARGE:
        x, w, b, dy = case.arrays()
        index = blank(dy.shape, "uint16")
        scratch = blank(kernels.conv2d_pool_scratch_size(x.shape, w.shape, dy.shape, 4, False), "float32")
        outputs += run(kernels.conv2d_pool_forward, x, w, b, case.padding, case.rectify, scratch, index,
                       blank(dy.shape, "float32"), outputs=2)  # fmt: skip
        outputs += run(kernels.conv2d_pool_weight_gradient, x, outputs[-2], dy, case.padding, scratch,
                       blank(w.shape, "float32"), blank(b.shape, "float32"), outputs=3)[1:]  # fmt: skip
    for case in (pooled.FEW_EXAMPLES[2], pooled.FEW_EXAMPLES[5]):
        x, w, b, dy = case.arrays()
        outputs += run(kernels.conv2d_pool_inference, x, w, b, case.padding, True, blank(dy.shape, "float32"))
    for case in (*pooled.SINGLE_EXAMPLES[1:3], *pooled.WINOGRAD_EXAMPLES):
        outputs += inner_outputs(case)
    return outputs


def inner_outputs(case):
    """What all three operations of an inner layer write; without AVX some shapes have none."""
    x, w, b, dy = case.arrays()
    size = kernels.conv2d_pool_scratch_size(x.shape, w.shape, dy.shape, 4, True)
    if size <= 0:
        return []
    scratch = blank(size, "float32")
    blanks = [blank(a.shape, "float32") for a in (dy, w, b, x)]
    index, y = run(kernels.conv2d_pool_forward, x, w, b, case.padding, case.rectify, scratch,
                   blank(dy.shape, "uint16"), blanks[0], outputs=3)[1:]  # fmt: skip
    gradients = run(kernels.conv2d_pool_weight_gradient, x, index, dy, case.padding, scratch, *blanks[1:3], outputs=3)
    dx = run(kernels.conv2d_pool_input_gradient, index, dy, w, case.padding, scratch, blanks[3], outputs=2)
    return [index, y, *gradients[1:], dx[1]]


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_pooled"))) == 1


@pytest.mark.parametrize(
    ("x", "w", "itemsize"),
    [
        ((3, 28, 28, 1), (5, 5, 1, 6), 4),  # fewer images than lanes
        ((64, 28, 28, 1), (5, 5, 1, 6), 8),
        ((64, 28, 28, 1), (5, 5, 1, 2), 4),  # no tiles for that few outputs
        ((64, 28, 28, 3), (2, 2, 3, 6), 4),  # nor taps
        ((64, 28, 28, 16), (3, 3, 16, 32), 4),
        ((64, 32, 32, 3), (5, 5, 3, 512), 4),  # more sums than the stack has room for
        ((64, 1024, 1024, 3), (3, 3, 3, 32), 4),  # rows too long
    ],
)
def test_for_other_shapes_it_is_not_made(x, w, itemsize):
    p, q = ((size - taps + 1) // 2 for size, taps in zip(x[1:3], w[:2], strict=True))
    assert kernels.conv2d_pool_scratch_size(x, w, (x[0], p, q, w[3]), itemsize, False) == -1
