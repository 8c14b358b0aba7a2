"""Pooling beside a plain copy of the same arrays."""

import numpy as np
import pytest

from .calls import blank, normal
from .pairs import Call
from .shapes import AS_COPY, rows


@pytest.mark.benchmark(group="pooling")
@rows("max_pool2d", "avg_pool2d")
def test_pool(compare, operation, shape):
    x, y = (shape.n, shape.pixels, shape.pixels, shape.c), (shape.n, shape.outputs, shape.outputs, shape.c)
    windows = ((shape.size, shape.size), (shape.stride, shape.stride), (shape.padding, shape.padding))
    call = {
        "max_pool2d_forward": lambda: Call(
            operation, normal(*x), *windows, np.zeros(y, np.uint16), blank(*y), outputs=2
        ),
        "max_pool2d_backward": lambda: Call(operation, places(y, shape), normal(*y), *windows, blank(*x)),
        "avg_pool2d_forward": lambda: Call(operation, normal(*x), *windows, True, blank(*y)),
        "avg_pool2d_backward": lambda: Call(operation, normal(*y), *windows, True, blank(*x)),
    }[operation]()
    compare.calls(call, shape, AS_COPY, copy=True)


def places(y, shape):
    """Random places of the maximum in its window, inside the image for all windows."""
    r, s = np.random.default_rng(1).integers(shape.padding, shape.size - shape.padding, (2, *y))
    return (r * shape.size + s).astype(np.uint16)


@pytest.mark.benchmark(group="pooling")
@rows("global_avg_pool2d")
def test_global_pool(compare, operation, shape):
    images, means = normal(shape.n, shape.pixels, shape.pixels, shape.c), normal(shape.n, shape.c)
    arrays = (images, means) if operation.endswith("forward") else (means, images)
    compare.calls(Call(operation, *arrays), shape, AS_COPY, copy=True)
