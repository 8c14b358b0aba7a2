"""Checks of the random changes of images."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from fastnn.reference.augment import CONSTANT, EDGE, REFLECT

from .common import FLOATS, SEEDS, Array, Operations, Place, agree, blank, plain, sizes

KEYS = st.integers(0, 2**63 - 1)


def _rows(seed: int, n: int) -> Array:
    """Row numbers in a data set, as a shuffled batch has them."""
    return np.random.default_rng(seed).integers(0, 100_000, n)


@dataclass(frozen=True)
class AffineCase:
    """Maps for n images of the given size."""

    n: int
    size: tuple[int, int] = (9, 12)
    shift: tuple[float, float] = (0.0, 0.0)
    crop: int = 0
    resize: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    flip: int = 0
    dtype: str = "float32"
    key: int = 12345
    seed: int = 0


AFFINE_EXAMPLES = [
    AffineCase(*case, dtype=dtype)
    for case in [
        (1,),
        (17, (9, 12), (2.0, 3.0), 0, 0.0, 0.0, 0.0, 0.0, 3),
        (40, (28, 28), (1.5, 0.0), 0, 0.0, 15.0, 0.1, 10.0, 0),
        (33, (32, 31), (0.0, 0.0), 4, 0.0, 0.0, 0.0, 0.0, 1),
        (20, (1, 7), (1.0, 0.5), 2, 0.5, 180.0, 0.9, 60.0, 2),
    ]
    for dtype in FLOATS
]


@st.composite
def affine_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> AffineCase:
    """Any change of any size."""
    most = st.one_of(st.integers(0, 5).map(float), st.floats(0, 5))
    return AffineCase(
        draw(sizes(33)),
        (draw(st.integers(1, 40)), draw(st.integers(1, 40))),
        (draw(most), draw(most)),
        draw(st.integers(0, 5)),
        draw(st.one_of(st.just(0.0), st.floats(0, 0.9))),
        draw(st.floats(0, 180)),
        draw(st.floats(0, 0.9)),
        draw(st.floats(0, 60)),
        draw(st.integers(0, 3)),
        draw(st.sampled_from(dtypes)),
        draw(KEYS),
        draw(SEEDS),
    )


def check_random_affine(ops: Operations, case: AffineCase, place: Place = plain) -> None:
    """The maps are the product of their steps."""
    options = (case.shift, case.crop, case.resize, case.rotate, case.scale, case.shear, case.flip, case.size)
    maps = blank((case.n, 2, 3), case.dtype)
    # The sizes of places, times the largest numbers in the matrices: 1 / (1 - scale) and the tangent
    terms = 50 * sum(case.size) / (1 - case.scale) * (1 + np.tan(np.radians(case.shear)))
    agree(ops, "random_affine", _rows(case.seed, case.n), case.key, *options, maps, terms=terms, place=place)


@dataclass(frozen=True)
class FieldCase:
    """Fields for n images of the given size."""

    n: int
    size: tuple[int, int]
    alpha: float = 8.0
    sigma: float = 4.0
    dtype: str = "float32"
    key: int = 12345
    seed: int = 0


FIELD_EXAMPLES = [
    FieldCase(*case, dtype=dtype)
    for case in [
        (1, (1, 1)),
        (2, (28, 28), 34.0, 4.0),
        (2, (25, 50), 2.0, 0.5),
        (1, (3, 40), 100.0, 20.0),
        (1, (2, 3), 5.0, 1e12),
    ]
    for dtype in FLOATS
]


@st.composite
def field_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> FieldCase:
    """Any size, in one tile and in several."""
    size = (draw(st.integers(1, 30)), draw(st.integers(1, 40)))
    smoothing = draw(st.floats(0, 50)), draw(st.floats(0.5, 12))
    return FieldCase(draw(st.integers(1, 2)), size, *smoothing, draw(st.sampled_from(dtypes)), draw(KEYS), draw(SEEDS))


def check_elastic_field(ops: Operations, case: FieldCase, place: Place = plain) -> None:
    """The field equals the oracle's."""
    field = blank((case.n, 2, *case.size), case.dtype)
    options = (case.key, case.alpha, case.sigma)
    agree(ops, "elastic_field", _rows(case.seed, case.n), *options, field, terms=20 * (1 + case.alpha), place=place)


@dataclass(frozen=True)
class WarpCase:
    """Some of `images` images (H, W, C), turned, scaled and moved, with a field or without."""

    images: int
    n: int
    shape: tuple[int, int, int]
    border: int = CONSTANT
    field: bool = False
    spread: float = 1.0
    dtype: str = "float32"
    seed: int = 0


WARP_EXAMPLES = [
    WarpCase(*case[:3], border, *case[3:], dtype=dtype)
    for case in [
        (1, 1, (1, 1, 1), False),
        (3, 5, (28, 28, 1), False),
        (2, 3, (9, 7, 3), True),
        (2, 2, (5, 17, 16), True, 5.0),
        (1, 2, (33, 8, 1), True, 0.0),
        (1, 2, (2, 3, 17), False, 20.0),
    ]
    for border in (CONSTANT, EDGE, REFLECT)
    for dtype in FLOATS
]


@st.composite
def warp_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> WarpCase:
    """Any shape and border, places far outside too."""
    shape = (draw(sizes(17)), draw(sizes(17)), draw(st.sampled_from([1, 2, 3, 4, 15, 16, 17, 33])))
    return WarpCase(
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
        shape,
        draw(st.sampled_from([CONSTANT, EDGE, REFLECT])),
        draw(st.booleans()),
        draw(st.sampled_from([0.0, 1.0, 30.0])),
        draw(st.sampled_from(dtypes)),
        draw(SEEDS),
    )


def check_warp(ops: Operations, case: WarpCase, place: Place = plain) -> None:
    """Each pixel is the mean of the four around its place."""
    rng = np.random.default_rng(case.seed)
    height, width, channels = case.shape
    source = rng.random((case.images, *case.shape)).astype(case.dtype)
    maps = np.tile(np.eye(2, 3), (case.n, 1, 1)) + case.spread * rng.uniform(-0.3, 0.3, (case.n, 2, 3))
    field = 2 * case.spread * rng.standard_normal((case.n, 2, height, width) if case.field else (0, 0, 0, 0))
    fill = rng.random(channels)
    arguments = (*(a.astype(case.dtype) for a in (maps, field)), case.border, fill.astype(case.dtype))
    rows = rng.integers(0, case.images, case.n)
    output = blank((case.n, *case.shape), case.dtype)
    terms = 10 * (height + width) * (1 + case.spread)  # of the rounding of places
    agree(ops, "warp", source, rows, *arguments, output, terms=terms, place=place)


@dataclass(frozen=True)
class CutoutCase:
    """n images of a shape (H, W, C)."""

    n: int
    shape: tuple[int, int, int]
    size: int
    dtype: str = "float32"
    key: int = 12345
    seed: int = 0


CUTOUT_EXAMPLES = [
    CutoutCase(*case, dtype=dtype)
    for case in [(1, (1, 1, 1), 1), (17, (9, 7, 3), 4), (3, (8, 8, 1), 16), (4, (6, 11, 2), 5)]
    for dtype in FLOATS
]


@st.composite
def cutout_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> CutoutCase:
    """Squares smaller and larger than the image."""
    shape = (draw(sizes(17)), draw(sizes(17)), draw(st.integers(1, 4)))
    return CutoutCase(
        draw(sizes(17)), shape, draw(st.integers(1, 40)), draw(st.sampled_from(dtypes)), draw(KEYS), draw(SEEDS)
    )


def check_cutout(ops: Operations, case: CutoutCase, place: Place = plain) -> None:
    """The square is filled, and nothing else."""
    rng = np.random.default_rng(case.seed)
    fill = rng.random(case.shape[2]).astype(case.dtype)
    images = 1 + rng.random((case.n, *case.shape)).astype(case.dtype)
    agree(ops, "cutout", _rows(case.seed, case.n), case.key, case.size, fill, images, place=place)


@dataclass(frozen=True)
class MixupCase:
    """x (N, C)."""

    n: int
    c: int
    alpha: float = 0.2
    dtype: str = "float32"
    key: int = 12345
    seed: int = 0


MIXUP_EXAMPLES = [
    MixupCase(*case, dtype=dtype)
    for case in [(1, 1), (2, 5, 1.0), (33, 10, 0.01), (17, 40, 20.0), (40, 3, 1e-4)]
    for dtype in FLOATS
]


@st.composite
def mixup_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> MixupCase:
    """Any shape, and alphas that give nearly always 1, and nearly always a half."""
    return MixupCase(
        draw(sizes(33)), draw(sizes(48)), draw(st.sampled_from([1e-3, 0.1, 0.4, 1.0, 3.0, 1e3])),
        draw(st.sampled_from(dtypes)), draw(KEYS), draw(SEEDS),
    )  # fmt: skip


def check_mixup(ops: Operations, case: MixupCase, place: Place = plain) -> None:
    """Rows are mixed with the next ones by shares of at least a half."""
    x = np.random.default_rng(case.seed).random((case.n, case.c)).astype(case.dtype)
    output = blank(x.shape, case.dtype)
    agree(ops, "mixup", _rows(case.seed, case.n), case.key, case.alpha, x, output, terms=4, place=place)
