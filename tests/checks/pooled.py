"""Checks of the convolution with pooling."""

from dataclasses import dataclass
from typing import Any

import naive
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from fastnn import kernels
from fastnn.kernels.lanewise import is_lanewise

from .common import SEEDS, Array, Operations, Place, agree, blank, close, plain, run

Pair = tuple[int, int]


@dataclass(frozen=True)
class PooledCase:
    """Images (N, H, W, C), K kernels of `size` (R, S); `padding` (top, left) and `after` (below, right)."""

    n: int
    image: Pair
    c: int
    k: int
    size: Pair
    padding: Pair = (0, 0)
    after: Pair = (0, 0)
    bias: bool = True
    rectify: bool = True
    nan: bool = False
    seed: int = 0

    @property
    def outputs(self) -> Pair:
        """(P, Q)."""
        p, q = ((self.image[a] + self.padding[a] + self.after[a] - self.size[a] + 1) // 2 for a in (0, 1))
        return p, q

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Random x, w, b and dy."""
        rng = np.random.default_rng(self.seed)
        shapes = (
            (self.n, *self.image, self.c),
            (*self.size, self.c, self.k),
            (self.k * self.bias,),
            (self.n, *self.outputs, self.k),
        )
        x, w, b, dy = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
        return x, w, b, dy


POOLED_EXAMPLES = [
    PooledCase(16, (2, 4), 3, 3, (1, 3)),
    PooledCase(17, (6, 7), 1, 6, (5, 5), padding=(2, 2), after=(2, 2)),
    PooledCase(35, (5, 6), 1, 4, (1, 3), bias=False),
    PooledCase(16, (5, 4), 3, 32, (3, 3), padding=(1, 1), after=(1, 1), rectify=False),
    PooledCase(18, (3, 9), 2, 7, (3, 3), padding=(4, 0), after=(2, 4), nan=True),  # windows that see no pixel
    PooledCase(140, (4, 3), 1, 10, (3, 3), padding=(0, 3), after=(3, 0)),  # more groups of images than parts
    PooledCase(19, (9, 8), 4, 13, (2, 7), padding=(0, 2), after=(0, 1), bias=False, rectify=False),
    PooledCase(18, (24, 23), 1, 16, (5, 5), padding=(2, 2), after=(2, 3)),  # Winograd's
    PooledCase(37, (7, 12), 3, 34, (5, 5), padding=(1, 0), after=(2, 1), bias=False),
]

# Winograd's products: rows and columns left out, tiles that a window shares, blocks of some rows of an image
WINOGRAD_EXAMPLES = [
    PooledCase(3, (14, 14), 32, 64, (3, 3), padding=(1, 1), after=(1, 1)),
    PooledCase(50, (5, 11), 8, 25, (3, 3), padding=(2, 1), after=(1, 1), rectify=False),
    PooledCase(2, (15, 13), 70, 90, (3, 3), padding=(1, 0), after=(1, 3), bias=False),
    PooledCase(3, (9, 10), 31, 130, (3, 3), padding=(3, 0), after=(1, 4)),  # outputs that see no pixel
    PooledCase(1, (16, 17), 130, 21, (3, 3), padding=(2, 3), after=(2, 2)),
    PooledCase(1, (40, 45), 16, 30, (3, 3), padding=(0, 4), after=(0, 0)),
    PooledCase(3, (14, 14), 32, 64, (5, 5), padding=(2, 2), after=(2, 2)),
    PooledCase(5, (12, 13), 70, 18, (5, 5), padding=(1, 4), after=(0, 3), rectify=False),
    PooledCase(12, (12, 12), 20, 50, (5, 5), bias=False),
    PooledCase(6, (11, 10), 33, 40, (5, 5), padding=(2, 2), after=(2, 2)),  # smaller tiles
]

# Gradients of single places: rows, columns and channels left out, windows that see no pixel, one image after another
SINGLE_EXAMPLES = [
    PooledCase(17, (9, 8), 5, 3, (3, 3), padding=(1, 1), after=(1, 1)),
    PooledCase(64, (14, 14), 6, 16, (5, 5)),
    PooledCase(35, (13, 10), 8, 7, (5, 5), padding=(2, 1), after=(3, 2), rectify=False),
    PooledCase(16, (7, 9), 7, 4, (5, 5), bias=False),
    PooledCase(18, (2, 3), 5, 40, (3, 3), padding=(2, 4), after=(3, 0)),
]

# Winograd's products with images as lanes: tiles without another, more outputs than lanes, bands of rows
LANEWISE_EXAMPLES = [
    PooledCase(17, (7, 6), 6, 16, (5, 5)),
    PooledCase(64, (14, 14), 6, 16, (5, 5), rectify=False),
    PooledCase(20, (9, 12), 1, 40, (5, 5), padding=(2, 4), after=(2, 1)),
    PooledCase(37, (12, 9), 12, 18, (5, 5), padding=(0, 1), after=(3, 1), bias=False),
    PooledCase(16, (27, 25), 6, 16, (5, 5), padding=(1, 1)),  # too many rows for one go
]

# Outputs as lanes: windows that see no pixel, an odd number of them, one more vector, several bands of an image
PICKED_EXAMPLES = [
    PooledCase(17, (9, 8), 1, 16, (3, 3), padding=(1, 1), after=(1, 1)),
    PooledCase(64, (28, 28), 1, 32, (3, 3), padding=(1, 1), after=(1, 1), rectify=False),
    PooledCase(20, (7, 12), 3, 48, (3, 3), padding=(1, 0), after=(2, 1), bias=False),
    PooledCase(16, (2, 2), 2, 32, (3, 3), padding=(0, 4), after=(3, 1)),
    PooledCase(18, (130, 66), 3, 16, (3, 3), padding=(3, 1), after=(1, 2)),
]


# Pixels as lanes: bands of rows, more windows in a row than lanes, windows that see no pixel, one pixel of a window
FEW_EXAMPLES = [
    PooledCase(1, (28, 28), 1, 6, (5, 5), padding=(2, 2), after=(2, 2)),
    PooledCase(1, (7, 75), 1, 64, (1, 3), padding=(0, 1), after=(1, 2), rectify=False),
    PooledCase(2, (40, 33), 3, 15, (3, 3), padding=(1, 0), after=(0, 3), bias=False),
    PooledCase(15, (3, 5), 2, 3, (2, 4), padding=(3, 5), after=(2, 4)),
    PooledCase(3, (9, 8), 8, 1, (3, 1), after=(1, 0), nan=True),
    PooledCase(1, (70, 90), 1, 33, (4, 6), padding=(1, 1), after=(1, 2)),  # too many rows for one go
]


@st.composite
def few_cases(draw: st.DrawFn) -> PooledCase:
    """Any shape of which the lanes are pixels."""
    size = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    image = (draw(st.integers(1, 12)), draw(st.integers(1, 40)))
    padding, after = ((draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(2))
    c = draw(st.integers(1, 8))
    case = PooledCase(draw(st.integers(1, 15)), image, c, draw(st.integers(1, 64 if c == 1 else 15)), size, padding,
                      after, draw(st.booleans()), draw(st.booleans()), seed=draw(SEEDS))  # fmt: skip
    assume(min(case.outputs) > 0)
    return case


@st.composite
def picked_cases(draw: st.DrawFn) -> PooledCase:
    """Any shape of which the lanes are outputs."""
    image = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    padding, after = ((draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(2))
    c, k = draw(st.integers(1, 3)), 16 * draw(st.integers(1, 5))
    case = PooledCase(draw(st.integers(16, 40)), image, c, k, (3, 3), padding, after, draw(st.booleans()),
                      draw(st.booleans()), seed=draw(SEEDS))  # fmt: skip
    assume(min(case.outputs) > 0)
    return case


@st.composite
def single_cases(draw: st.DrawFn) -> PooledCase:
    """Any shape for which there are gradients of single places."""
    size, image = draw(st.sampled_from([3, 5])), (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    padding, after = ((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(2))
    c, k = draw(st.integers(5, 8)), draw(st.integers(3, 20))
    case = PooledCase(draw(st.integers(16, 40)), image, c, k, (size, size), padding, after, draw(st.booleans()),
                      draw(st.booleans()), seed=draw(SEEDS))  # fmt: skip
    assume(min(case.outputs) > 0 and (size == 5 or c < 8))
    return case


@st.composite
def pooled_cases(draw: st.DrawFn) -> PooledCase:
    """Any shape for which the operations are made."""
    size = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    padding, after = ((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(2))
    image = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    c, k = draw(st.integers(1, 4)), draw(st.integers(3, 20))
    case = PooledCase(
        draw(st.integers(16, 50)), image, c, k, size, padding, after, draw(st.booleans()), draw(st.booleans()),
        seed=draw(SEEDS),
    )  # fmt: skip
    assume(min(case.outputs) > 0 and size[1] >= 3)
    return case


def check_pooled(ops: Operations, case: PooledCase, place: Place = plain, oracle: Operations | None = None) -> None:
    """Outputs, places and gradient equal the oracle's."""
    x, w, b, dy = case.arrays()
    other = {} if oracle is None else {"oracle": oracle}
    terms = w[..., 0].size
    scratch = blank(ops.conv2d_pool_scratch_size(x.shape, w.shape, dy.shape, 4, False), "float32")
    seen = x.copy()
    if case.nan:
        seen.flat[:: seen.size // 3] = np.nan
    if ops is kernels and (is_lanewise.py_func(w.shape, dy.shape[2], 4) or not case.nan):
        index = check_outputs(ops, case, place, inner=False, **other)
    else:
        index, y = blank(dy.shape, "uint16"), blank(dy.shape, "float32")
        forward = ("conv2d_pool_forward", seen, w, b, case.padding, case.rectify, scratch, index, y)
        index, _ = agree(ops, *forward, outputs=2, terms=terms, place=place, **other)
    dw, db = blank(w.shape, "float32"), blank(b.shape, "float32")
    gradient = ("conv2d_pool_weight_gradient", x, index, dy, case.padding)
    terms = 8 * dy[..., 0].size
    agree(ops, *gradient, scratch, dw, db, outputs=2, scratch=True, terms=terms, place=place, **other)


def check_inner(ops: Operations, case: PooledCase, place: Place = plain, oracle: Operations = naive) -> None:
    """Outputs and gradients equal the oracle's."""
    x, w, b, dy = case.arrays()
    k, scratch = dy.shape[3], _scratch(ops, case)
    assert scratch.size > 0 or ops is not kernels
    index = check_outputs(ops, case, place, oracle)
    how: dict[str, Any] = {"scratch": True, "place": place, "oracle": oracle}
    dw, db, dx = blank(w.shape, "float32"), blank(b.shape, "float32"), blank(x.shape, "float32")
    gradient = ("conv2d_pool_weight_gradient", x, index, dy, case.padding, scratch, dw, db)
    agree(ops, *gradient, outputs=2, terms=8 * dy[..., 0].size, **how)
    agree(ops, "conv2d_pool_input_gradient", index, dy, w, case.padding, scratch, dx, terms=8 * 9 * k, **how)


def check_picked(ops: Operations, case: PooledCase, place: Place = plain, oracle: Operations = naive) -> None:
    """Outputs, places that lie like them, and the weight gradient of a first layer equal the oracle's."""
    x, w, b, dy = case.arrays()
    index = check_outputs(ops, case, place, oracle, inner=False)
    dw, db, terms = blank(w.shape, "float32"), blank(b.shape, "float32"), 8 * dy[..., 0].size
    gradient = ("conv2d_pool_weight_gradient", x, index, dy, case.padding, _scratch(ops, case, inner=False), dw, db)
    agree(ops, *gradient, outputs=2, scratch=True, place=place, oracle=oracle, terms=terms)


def check_pooled_inference(
    ops: Operations, case: PooledCase, place: Place = plain, oracle: Operations = naive
) -> None:
    """Outputs alone equal the oracle's."""
    x, w, b, dy = case.arrays()
    if case.nan:
        x.flat[:: x.size // 3] = np.nan
    assert ops.has_conv2d_pool_inference(x.shape, w.shape, dy.shape, 4), f"{case} has no operation"
    inference = ("conv2d_pool_inference", x, w, b, case.padding, case.rectify, blank(dy.shape, "float32"))
    agree(ops, *inference, terms=8 * w[..., 0].size, place=place, oracle=oracle)


def check_outputs(
    ops: Operations, case: PooledCase, place: Place = plain, oracle: Operations = naive, inner: bool = True
) -> Array:
    """Outputs equal the oracle's; places, which are returned, are those of its largest, up to rounding."""
    x, w, b, dy = case.arrays()
    (n, p, q, k), terms = dy.shape, 8 * w[..., 0].size
    scratch = _scratch(ops, case, inner)
    index, y = blank(dy.shape, "uint16"), blank(dy.shape, "float32")
    forward = (x, w, b, case.padding, case.rectify, scratch, index, y)
    _, index, y = run(ops.conv2d_pool_forward, *forward, outputs=3, place=place)
    outputs = np.empty((n, 2 * p, 2 * q, k))
    exact = (a.astype(np.float64) for a in (x, w, b))
    oracle.conv2d_forward(*exact, (1, 1), case.padding, (1, 1), 1, 0, 0.0, np.empty(0), outputs)
    windows = outputs.reshape(n, p, 2, q, 2, k).swapaxes(2, 3).reshape(n, p, q, 4, k)
    close(y, np.maximum(windows.max(3), 0 if case.rectify else -np.inf), terms)
    nowhere = index == 2**16 - 1
    np.testing.assert_array_equal(nowhere, y == 0 if case.rectify else False)
    chosen = np.take_along_axis(windows, np.where(nowhere, 0, index)[..., None, :], 3)[..., 0, :]
    close(y[~nowhere], chosen[~nowhere], terms)
    return np.asarray(index)


def _scratch(ops: Operations, case: PooledCase, inner: bool = True) -> Array:
    x, w, _, dy = case.arrays()
    size = ops.conv2d_pool_scratch_size(x.shape, w.shape, dy.shape, 4, inner)
    assert size >= 0, f"{case} has no operation"
    return blank(size, "float32")
