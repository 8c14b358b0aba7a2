"""The arrays of a work: every side makes them itself, from the same seed."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.bench.nets import Conv, Dense, Flatten, Net, Norm
from fastnn.bench.workloads import Work

MOMENTUM = 0.9
RATE = 1e-6  # leaves the weights where they are, however long a block is: no side meets other numbers
CHECKED_STEPS = 4  # the first loss is before any update, the next three each after one
CHECKED_ROWS = 64  # of the outputs of inference
NORM_EPS = 1e-5


def check_rate(net: Net) -> float:
    """A rate that moves the loss visibly within three steps, so that a wrong update shows.

    Images take a lower one: with 0.01 a maximum of VGG's pooling that two pixels almost share falls to another pixel
    by rounding alone, and PyTorch's own two layouts differ by 2e-4 after two steps.
    """
    return 0.001 if any(isinstance(part, Conv) for part, _ in net.steps()) else 0.01


def weights(net: Net, seed: int = 0) -> list[Array]:
    """He-normal weights; biases, gamma and beta with noise, so that a swap of two shows. Order: `weight_shapes`."""
    rng = np.random.default_rng(seed)
    arrays: list[Array] = []

    def draw(scale: float, *shape: int, mean: float = 0.0) -> None:
        arrays.append((mean + scale * rng.standard_normal(shape)).astype(np.float32))

    shapes = iter(net.weight_shapes())
    for part, _ in net.steps():
        if isinstance(part, Dense | Conv):
            kernel = next(shapes)
            draw((2 / prod(kernel[:-1])) ** 0.5, *kernel)
            if isinstance(part, Dense) or part.bias:
                draw(0.05, *next(shapes))
        elif isinstance(part, Norm):
            draw(0.1, *next(shapes), mean=1.0)
            draw(0.1, *next(shapes))
    return arrays


def data(work: Work, seed: int = 1) -> tuple[Array, Array]:
    """x in 0..1 (N, *input_shape) and labels (N,) of all batches."""
    rng = np.random.default_rng(seed)
    rows = work.batch * work.batches
    x = rng.random((rows, *work.net.input_shape), dtype=np.float32)
    return x, rng.integers(0, work.net.classes, rows)


def channels_first(net: Net, arrays: list[Array]) -> list[Array]:
    """The weights for a library whose images are (N, C, H, W): the rows behind Flatten come in that order."""
    permuted, position, flattened = list(arrays), 0, None
    for part, before in net.steps():
        if isinstance(part, Flatten):
            flattened = before
        elif isinstance(part, Dense):
            if flattened:
                rows = arrays[position].reshape(*flattened, -1).transpose(2, 0, 1, 3)
                permuted[position] = np.ascontiguousarray(rows.reshape(arrays[position].shape))
            flattened = None
        position += {Dense: 2, Conv: 2, Norm: 2}.get(type(part), 0) - (isinstance(part, Conv) and not part.bias)
    return permuted


def checked_rows(outputs: Any) -> list[list[float]]:
    """Some rows of the outputs of inference, from the first to the last."""
    array = np.asarray(outputs, np.float64)
    places = np.unique(np.linspace(0, len(array) - 1, min(CHECKED_ROWS, len(array))).astype(int))
    rows: list[list[float]] = array[places].tolist()
    return rows
