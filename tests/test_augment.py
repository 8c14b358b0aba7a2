"""Kernels of the augmentation: the oracle, both backends, any thread count; and what the random numbers are like."""

import math

import numpy as np
import pytest
import threads
from backends import BACKENDS
from checks import augment
from checks.common import FLOATS, blank, run
from checks.memory import guarded_end, guarded_start
from hypothesis import given, settings

from fastnn import kernels
from fastnn._backend import operations
from fastnn.reference.augment import CONSTANT, EDGE, REFLECT

EXAMPLES = {
    augment.check_random_affine: augment.AFFINE_EXAMPLES,
    augment.check_elastic_field: augment.FIELD_EXAMPLES,
    augment.check_warp: augment.WARP_EXAMPLES,
    augment.check_cutout: augment.CUTOUT_EXAMPLES,
    augment.check_mixup: augment.MIXUP_EXAMPLES,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize(("check", "case"), [(check, case) for check, cases in EXAMPLES.items() for case in cases])
def test_awkward_cases(check, backend, case, place):
    check(operations(backend), case, place)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=augment.affine_cases())
def test_any_affine_map(backend, case):
    augment.check_random_affine(operations(backend), case)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25)  # the oracle's loops take a tenth of a second
@given(case=augment.field_cases())
def test_any_field(backend, case):
    augment.check_elastic_field(operations(backend), case)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=augment.warp_cases())
def test_any_warp(backend, case):
    augment.check_warp(operations(backend), case)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=augment.cutout_cases())
def test_any_cutout(backend, case):
    augment.check_cutout(operations(backend), case)


@pytest.mark.parametrize("backend", BACKENDS)
@given(case=augment.mixup_cases())
def test_any_mixup(backend, case):
    augment.check_mixup(operations(backend), case)


ROWS = np.arange(4000)


@pytest.fixture(params=BACKENDS)
def ops(request):
    return operations(request.param)


def maps(ops, rows=ROWS, size=(28, 28), dtype="float64", **options):
    """The maps of some rows, in order of rows and with what is not named left out."""
    defaults = {"shift": (0.0, 0.0), "crop": 0, "resize": 0.0, "rotate": 0.0, "scale": 0.0, "shear": 0.0, "flip": 0}
    return run(ops.random_affine, rows, 7, *(defaults | options).values(), size, blank((len(rows), 2, 3), dtype))[0]


def test_shifts_are_whole_and_uniform(ops):
    found = maps(ops, shift=(2.0, 1.0))
    assert (found[:, :, :2] == np.eye(2)).all()
    for axis, most in enumerate((2, 1)):
        values, counts = np.unique(found[:, axis, 2], return_counts=True)
        assert values.tolist() == list(range(-most, most + 1))
        np.testing.assert_allclose(counts / len(ROWS), 1 / (2 * most + 1), atol=0.03)
    broken = maps(ops, shift=(1.5, 0.0))[:, 0, 2]
    assert abs(broken).max() <= 1.5
    np.testing.assert_allclose((np.quantile(broken, [0.25, 0.5, 0.75])), [-0.75, 0, 0.75], atol=0.1)


def test_turns_scales_and_mirrors(ops):
    turn = maps(ops, rotate=30.0)[:, :, :2]
    np.testing.assert_allclose(turn @ turn.swapaxes(1, 2), np.broadcast_to(np.eye(2), turn.shape), atol=1e-12)
    degrees = np.degrees(np.arctan2(turn[:, 0, 1], turn[:, 0, 0]))
    np.testing.assert_allclose(np.quantile(degrees, [0, 0.5, 1]), [-30, 0, 30], atol=1)
    np.testing.assert_allclose(np.quantile(1 / maps(ops, scale=0.2)[:, 0, 0], [0, 0.5, 1]), [0.8, 1, 1.2], atol=0.01)
    mirrored = maps(ops, flip=3)
    assert set(map(tuple, mirrored[:, [0, 1], [0, 1]])) == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    np.testing.assert_allclose((mirrored[:, [0, 1], [0, 1]] < 0).mean(axis=0), 0.5, atol=0.03)
    assert (maps(ops, flip=1)[:, 0, 0] == 1).all()
    assert (maps(ops, flip=2)[:, 1, 1] == 1).all()
    lean = maps(ops, shear=20.0)
    assert (lean[:, 0] == (1, 0, 0)).all()
    np.testing.assert_allclose(np.quantile(np.degrees(np.arctan(lean[:, 1, 0])), [0, 1]), [-20, 20], atol=1)


def test_a_turned_image_keeps_its_middle(ops):
    middle = (13.5, 9.5, 1)
    found = maps(ops, size=(28, 20), rotate=30.0, scale=0.5, shear=20.0, flip=3)
    np.testing.assert_allclose(found @ middle, np.broadcast_to(middle[:2], (len(ROWS), 2)), atol=1e-12)


def test_windows_lie_inside_the_padded_image(ops):
    found = maps(ops, crop=3, resize=0.5)
    ends = np.array([(-0.5, -0.5, 1), (27.5, 27.5, 1)])
    corners = found @ ends.T
    np.testing.assert_allclose([corners.min(), corners.max()], [-3.5, 30.5], atol=0.1)
    assert corners.min() >= -3.5
    assert corners.max() <= 30.5
    np.testing.assert_allclose(np.quantile(found[:, 0, 0], [0, 0.5, 1]), [0.5, 0.75, 1], atol=0.02)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_whole_moves_copy_pixels(ops, dtype, channels):
    """Shifted, cropped and mirrored images hold the image's own numbers, and the fill around them."""
    rng = np.random.default_rng(0)
    source = rng.standard_normal((3, 9, 8, channels)).astype(dtype)
    rows = rng.integers(0, 3, 50)
    found = maps(ops, rows, (9, 8), dtype, shift=(2.0, 1.0), crop=2, flip=3)
    fill = np.full(channels, 5, dtype)
    (changed,) = run(ops.warp, source, rows, found, blank((0, 0, 0, 0), dtype), CONSTANT, fill, blank(
        (50, 9, 8, channels), dtype))  # fmt: skip
    for image, row, m in zip(changed, rows, found, strict=True):
        padded = np.pad(source[row], ((20, 20), (20, 20), (0, 0)), constant_values=5)
        y, x = (m[axis, axis] * np.arange(n) + m[axis, 2] for axis, n in enumerate((9, 8)))
        np.testing.assert_array_equal(image, padded[np.ix_(y.astype(int) + 20, x.astype(int) + 20)])


def test_borders(ops):
    source = np.arange(1.0, 4)[None, None, :, None]
    for border, outside in ((CONSTANT, "999 999"), (EDGE, "111 333"), (REFLECT, "232 212")):
        expected = [float(digit) for digit in outside.replace(" ", "123")]
        found = []
        for start in (-3, 0, 3):
            m = np.array([[[1, 0, 0], [0, 1, start]]], float)
            arguments = (source, np.zeros(1, int), m, blank((0, 0, 0, 0), float), border, np.full(1, 9.0))
            found += run(ops.warp, *arguments, blank((1, 1, 3, 1), float))[0].ravel().tolist()
        assert found == expected


@pytest.mark.parametrize("border", [CONSTANT, EDGE, REFLECT])
@pytest.mark.parametrize("place", [guarded_end, guarded_start])
@pytest.mark.parametrize("dtype", FLOATS)
def test_places_that_are_no_places_stay_inside(border, place, dtype):
    source, field = np.ones((2, 5, 7, 3), dtype), np.zeros((7, 2, 5, 7), dtype)
    field[:, :, 2] = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30, 3e9, -3e9], dtype)[:, None, None]
    m = np.tile(np.eye(2, 3, dtype=dtype), (7, 1, 1))
    output = blank((7, 5, 7, 3), dtype)
    arguments = (source, np.arange(7) % 2, m, field, border, np.ones(3, dtype), output)
    (changed,) = run(kernels.warp, *arguments, place=place)
    np.testing.assert_allclose(changed, 1, rtol=1e-6)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_elastic_fields_are_as_rough_as_smoothed_noise(ops, sigma):
    """Deviation and correlation of noise smoothed by a Gaussian, at any place of the image and in both directions."""
    (field,) = run(ops.elastic_field, ROWS[:1000], 7, 10.0, sigma, blank((1000, 2, 24, 24), "float32"))
    deviation = 10 / math.sqrt(3) / (2 * math.sqrt(math.pi) * sigma)
    np.testing.assert_allclose(field.std(), deviation, rtol=0.02)
    np.testing.assert_allclose(field.std(axis=0), deviation, rtol=0.2)
    assert abs(field.mean()) < 0.05 * deviation
    assert abs(np.mean(field[:, 0] * field[:, 1])) < 0.02 * deviation**2
    for step in (1, 2, 4):
        wanted = math.exp(-(step**2) / (4 * sigma**2))
        for a, b in ((field[:, :, step:], field[:, :, :-step]), (field[..., step:], field[..., :-step])):
            assert np.mean(a * b) / np.mean(a * a) == pytest.approx(wanted, abs=0.04)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 4.0])
def test_mixup_draws_beta_numbers(ops, alpha):
    x = np.arange(8000)[:, None] % 2.0  # 0, 1, 0, 1, ...: the result tells the share
    (mixed,) = run(ops.mixup, np.arange(8000), 7, alpha, x, blank(x.shape, float))
    shares = np.where(x == 1, mixed, 1 - mixed)[:, 0]
    assert shares.min() >= 0.5
    draws = np.random.default_rng(0).beta(alpha, alpha, 200_000)
    steps = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(np.quantile(shares, steps), np.quantile(np.maximum(draws, 1 - draws), steps), atol=0.012)


def test_numbers_of_rows_keys_and_places_are_independent(ops):
    (a,) = run(ops.elastic_field, ROWS[:500], 7, 1.0, 0.6, blank((500, 2, 8, 8), float))
    (b,) = run(ops.elastic_field, ROWS[:500], 8, 1.0, 0.6, blank((500, 2, 8, 8), float))
    for other in (b, np.roll(a, 1, axis=0), np.roll(a, 4, axis=2), np.roll(a, 4, axis=3)):
        assert abs(np.corrcoef(a.ravel(), other.ravel())[0, 1]) < 0.02


def _all(ops, rows, dtype="float32"):
    """The results of all operations on these rows."""
    source = np.random.default_rng(0).random((100, 20, 24, 3)).astype(dtype)
    n, fill = len(rows), np.array([0.1, 0.2, 0.3], dtype)
    m = maps(ops, rows, (20, 24), dtype, rotate=20.0, scale=0.1, shear=5.0, crop=2, resize=0.1, flip=1)
    (field,) = run(ops.elastic_field, rows, 7, 20.0, 3.0, blank((n, 2, 20, 24), dtype))
    (images,) = run(ops.warp, source, rows, m, field, REFLECT, fill, blank((n, 20, 24, 3), dtype))
    (erased,) = run(ops.cutout, rows, 7, 7, fill, images)
    (mixed,) = run(ops.mixup, rows, 7, 0.4, images.reshape(n, -1), blank((n, 1440), dtype))
    return [m, field, images, erased, mixed]


def test_a_sample_does_not_depend_on_its_batch(ops):
    rows = np.random.default_rng(1).permutation(100)
    whole = _all(ops, rows)[:-1]
    for start in range(0, 100, 25):
        for part, expected in zip(_all(ops, rows[start : start + 25])[:-1], whole, strict=True):
            np.testing.assert_array_equal(part, expected[start : start + 25])


def threaded_outputs():
    return _all(kernels, np.arange(100))


def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_augment"))) == 1
