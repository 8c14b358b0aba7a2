"""The compiled convolution."""

from dataclasses import replace

import numpy as np
import pytest
import threads
from checks import conv
from checks.common import FLOATS, blank
from checks.memory import guarded_end, guarded_start
from hypothesis import given

from fastnn import kernels, reference
from fastnn.kernels._emitter import MAX_ROWS, VECTOR_BYTES
from fastnn.kernels._memory import WAYS
from fastnn.kernels._tilings import is_winograd, tile_outputs
from fastnn.kernels._transforms import LARGE_TILE, LARGE_TILE_OF_5, TILE, TILE_OF_5
from fastnn.kernels._windows import complete
from fastnn.kernels.conv import ALIASED, image_parts, panel_of
from fastnn.kernels.narrow import is_swept, swept_pixels
from fastnn.kernels.weights import at_once


@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("case", conv.CONV2D_EXAMPLES, ids=str)
def test_awkward_shapes(case, place):
    conv.check_conv2d(kernels, case, place)


@given(conv.conv2d_cases())
def test_any_shape(case):
    conv.check_conv2d(kernels, case)


@given(conv.lanewise_cases())
def test_images_as_lanes_of_any_shape(case):
    conv.check_conv2d(kernels, case, oracle=reference)


@given(conv.conv2d_cases(channels=9))
def test_gradients(case):
    conv.check_conv2d_gradients(kernels, case)


def test_examples_of_near_images_are_rows_of_a_product_and_share_sets():
    for case in conv.NEAR_EXAMPLES:  # with AVX-512; smaller tiles have fewer rows than L1 has ways
        x, _, _, _ = case.arrays()
        where = (case.stride[1], case.padding[1], case.dilation[1], case.size[1], case.image[1], 0, case.outputs[1])
        assert image_parts.py_func(x, complete.py_func(*where)) < case.n
        assert case.n // image_parts.py_func(x, complete.py_func(*where)) > WAYS or MAX_ROWS <= WAYS
        assert x[0].nbytes % ALIASED == 0


@pytest.mark.parametrize(
    "case",
    [
        conv.Conv2DCase(17, (9, 9), 3, 70, (3, 3), padding=(1, 1), after=(1, 1)),  # several images in a part
        conv.Conv2DCase(9, (6, 16), 2, 130, (3, 3), padding=(1, 1), after=(1, 1), stride=(2, 2)),  # several blocks
        conv.Conv2DCase(1, (40, 20), 11, 12, (5, 5), padding=(2, 2), after=(2, 2)),  # several bands, joined rows
        conv.Conv2DCase(3, (20, 33), 40, 40, (3, 3), groups=40, padding=(1, 1), after=(1, 1)),
    ],
    ids=str,
)
def test_shapes_that_are_cut_into_more_pieces(case):
    conv.check_conv2d(kernels, case)


@pytest.mark.parametrize("case", conv.WINOGRAD_EXAMPLES, ids=str)
def test_gradients_of_winograd_shapes(case):
    conv.check_conv2d_gradients(kernels, case)


@pytest.mark.parametrize("case", conv.CONV2D_EXAMPLES, ids=str)
def test_examples_take_the_path_they_are_for(case):
    x, w, _, dz = case.arrays()
    chosen = is_winograd.py_func(dz.shape, w.shape, case.stride, case.dilation, case.groups)
    assert chosen == (replace(case, dtype="float32") in conv.WINOGRAD_EXAMPLES)
    if VECTOR_BYTES >= 32:
        assert conv.is_lanewise(case) == (case in conv.LANEWISE_EXAMPLES)


@pytest.mark.skipif(VECTOR_BYTES < 64, reason="wants the vectors and registers of AVX-512")
@pytest.mark.parametrize("case", conv.SWEPT_EXAMPLES, ids=str)
def test_examples_of_weights_in_registers_take_that_path(case):
    taken = []
    for dtype in FLOATS:
        x, w, _, dz = replace(case, dtype=dtype).arrays()
        asked = w.shape, dz, x, case.stride, case.padding, case.dilation, case.groups
        taken.append(is_swept.py_func(*asked) or swept_pixels.py_func(*asked) > 0)
    assert any(taken)


def test_examples_of_winograd_have_tiles_of_all_sizes():
    sizes = [tile_outputs.py_func(case.size[0], (case.n, *case.outputs)) for case in conv.WINOGRAD_EXAMPLES]
    for tile in (TILE, LARGE_TILE, TILE_OF_5, LARGE_TILE_OF_5):
        assert sizes.count(tile) >= 3


def test_examples_of_copies_take_these_paths():
    across, packed, cut = [], [], []
    for case in conv.COPY_EXAMPLES:
        x, w, _, dz = case.arrays()
        where = (case.stride[1], case.padding[1], case.dilation[1], case.size[1], case.image[1], 0, case.outputs[1])
        across.append(image_parts.py_func(x, complete.py_func(*where)) < case.n)
        plain = case.groups == 1 and case.dilation[1] == 1
        packed.append(panel_of.py_func(dz, w.size // case.k, case.k, plain) < case.k)
        reach = tuple((s - 1) * d + 1 for s, d in zip(case.size, case.dilation, strict=True))
        cut.append(at_once.py_func(x, dz, min(case.c // case.groups, 24), case.stride, reach))
    assert across == [True, True, True, False, False, False, False]
    if MAX_ROWS == 6:  # of 16 columns
        assert packed == [True, False, True, True, False, False, False]
    assert [several for several, _, _ in cut] == [2, 10, 2, 1, 1, 0, 3]
    assert [cut[number][1:] for number in (3, 4)] == [(1, 128), (8, 16)]


@pytest.mark.parametrize(
    "case",
    [
        conv.Conv2DCase(4, (16, 16), 64, 64, (3, 3), padding=(1, 1), after=(1, 1)),
        conv.Conv2DCase(1, (8, 8), 256, 256, (3, 3), padding=(1, 1), after=(1, 1)),
        conv.Conv2DCase(16, (14, 14), 32, 64, (3, 3), padding=(1, 1), after=(1, 1)),
        conv.Conv2DCase(4, (10, 10), 256, 64, (3, 3), padding=(1, 1), after=(1, 1)),
        conv.Conv2DCase(4, (16, 16), 64, 64, (5, 5), padding=(2, 2), after=(2, 2)),
        conv.Conv2DCase(16, (4, 4), 128, 64, (5, 5), padding=(2, 2), after=(2, 2)),
    ],
    ids=str,
)
def test_winograd_errors(case):
    """Errors of y, dw, db, dx relative to the largest element, float32. Measured: 3e-6; direct kernels: up to 2e-6.

    With tiles of 5x5 outputs 5e-6 to 1.2e-5. A direct output is one sum of 9*C products. Here it is a few shorter ones,
    with factors up to 8, and up to 40.
    """
    tile = tile_outputs.py_func(case.size[0], (case.n, *case.outputs))
    bound = 2e-5 if tile in (LARGE_TILE, LARGE_TILE_OF_5) else 5e-6
    for actual, expected in zip(_gradients(case), _gradients(case, reference, "float64"), strict=True):
        assert np.abs(actual - expected).max() < bound * np.abs(expected).max()


def _gradients(case, ops=kernels, dtype="float32", more=0):
    x, w, b, dz = (a.astype(dtype) for a in case.arrays())
    y, dw, db, dx = (blank(a.shape, dtype) for a in (dz, w, b, x))
    scratch = blank(case.scratch(ops).size + more, dtype)
    ops.conv2d_forward(x, w, b, *case.geometry, 1, 0.0, scratch, y)
    ops.conv2d_weight_gradient(x, dz, *case.geometry, scratch, dw, db)
    ops.conv2d_input_gradient(dz, w, *case.geometry, scratch, dx)
    return y, dw, db, dx


def threaded_outputs():
    same = {"padding": (1, 1), "after": (1, 1)}
    yield from _gradients(conv.Conv2DCase(19, (14, 14), 32, 64, (3, 3), **same))  # Winograd's products
    yield from _gradients(conv.Conv2DCase(3, (9, 9), 60, 130, (3, 3), **same))  # their blocks of output channels
    yield from _gradients(conv.Conv2DCase(19, (14, 14), 32, 64, (5, 3), padding=(2, 1), after=(2, 1)))
    yield from _gradients(conv.Conv2DCase(70, (12, 10), 3, 6, (5, 5), padding=(2, 2), after=(2, 2)))  # images as lanes
    yield from _gradients(conv.Conv2DCase(40, (9, 9), 6, 16, (5, 5)))
    yield from _gradients(conv.Conv2DCase(2, (30, 40), 3, 20, (3, 3), stride=(2, 1), **same))
    yield from _gradients(conv.Conv2DCase(5, (20, 20), 48, 48, (3, 3), groups=48, **same))


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_conv"))) == 1


def test_scratch_may_be_larger_than_asked_for():
    """Layers of one model share one scratch array."""
    for c, k in ((5, 7), (60, 80)):
        case = conv.Conv2DCase(9, (6, 6), c, k, (3, 3), padding=(1, 1), after=(1, 1))
        for exact, roomy in zip(_gradients(case), _gradients(case, more=1000), strict=True):
            assert exact.tobytes() == roomy.tobytes()
