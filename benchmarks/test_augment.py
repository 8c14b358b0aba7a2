"""Augmentation of batches out of a data set of 1,000 images; `apply` with everything at once."""

import numpy as np
import pytest

from fastnn import kernels
from fastnn.augment import Augmentation
from fastnn.reference.augment import CONSTANT

from .calls import blank, normal
from .pairs import FULL, ONCE, Call, Pairs, equal
from .shapes import FASTER, IMAGES, Figures, rows

KEY = 12345
SHIFT, ROTATE, SCALE, SHEAR, ELASTIC = (2.0, 2.0), 15.0, 0.1, 10.0, (34.0, 4.0)


def batch(n):
    """Row numbers as a shuffled epoch has them."""
    return np.random.default_rng(0).permutation(1000)[:n]


@pytest.mark.benchmark(group="augmentation")
@rows("random_affine", "elastic_field", "warp", "cutout")
def test_images(compare, operation, shape):
    n, size, fill = shape.n, (shape.pixels, shape.pixels), np.zeros(shape.c, np.float32)
    maps, field, images = blank(n, 2, 3), blank(n, 2, *size), (n, *size, shape.c)
    affine = Call("random_affine", batch(n), KEY, SHIFT, 0, 0.0, ROTATE, SCALE, SHEAR, 1, size, maps)
    elastic = Call("elastic_field", batch(n), KEY, *ELASTIC, field)
    if operation == "warp":
        (fill_maps, (maps,)), (fill_field, (field,)) = affine.on(kernels), elastic.on(kernels)
        fill_maps()
        fill_field()
    call = {
        "random_affine": affine,
        "elastic_field": elastic,
        "warp": Call("warp", normal(1000, *images[1:]), batch(n), maps, field, CONSTANT, fill, blank(*images)),
        "cutout": Call("cutout", batch(n), KEY, 8, fill, normal(*images), updated=1),
    }[operation]
    compare.calls(call, shape, FASTER)


@pytest.mark.benchmark(group="augmentation")
@rows("mixup")
def test_mixup(compare, operation, shape):
    call = Call(operation, batch(shape.n), KEY, 0.2, normal(shape.n, shape.c), blank(shape.n, shape.c))
    compare.calls(call, shape, FASTER, copy=True)


@pytest.mark.benchmark(group="augmentation")
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_apply(compare, shape):
    """`Augmentation.apply` with affine map, elastic field and cutout, on both backends."""
    settings = {"shift": SHIFT, "rotate": ROTATE, "scale": SCALE, "shear": SHEAR, "elastic": ELASTIC, "cutout": 8}
    x = normal(shape.n, shape.pixels, shape.pixels, shape.c)
    sides = [Augmentation(**settings, seed=0, backend=backend) for backend in ("numba", "numpy")]
    ours, theirs = (lambda side=side: side.apply(x) for side in sides)
    equal([ours()], [theirs()], tolerance=1e-4)
    compare.run(Pairs(ours, theirs, ONCE if compare.once else FULL), ours, "apply", shape, Figures(ratio_least=4.0))
