"""Checks of the convolution's operations."""

from dataclasses import dataclass, replace
from typing import Any

import naive
import numpy as np
from hypothesis import strategies as st

from fastnn.kernels._tilings import is_winograd, tile_outputs
from fastnn.kernels._transforms import LARGE_TILE, LARGE_TILE_OF_5
from fastnn.kernels.lanewise import is_lanewise_without_pooling

from .activation import ACTIVATIONS
from .common import FLOATS, SEEDS, Array, Operations, Place, adjoint, agree, blank, plain, run, sizes, slope

Pair = tuple[int, int]


@dataclass(frozen=True)
class Conv2DCase:
    """Images (N, H, W, C), K kernels of `size` (R, S); `padding` (top, left) and `after` (below, right)."""

    n: int
    image: Pair
    c: int
    k: int
    size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    after: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True
    activation: int = 0
    alpha: float = 0.1
    dtype: str = "float32"
    seed: int = 0

    @property
    def outputs(self) -> Pair:
        """(P, Q)."""
        p, q = (
            (self.image[a] + self.padding[a] + self.after[a] - (self.size[a] - 1) * self.dilation[a] - 1)
            // self.stride[a]
            + 1
            for a in (0, 1)
        )
        return p, q

    @property
    def geometry(self) -> tuple[Pair, Pair, Pair, int]:
        """The arguments that every operation takes."""
        return self.stride, self.padding, self.dilation, self.groups

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Random x, w, b and dz."""
        rng = np.random.default_rng(self.seed)
        shapes = (
            (self.n, *self.image, self.c),
            (*self.size, self.c // self.groups, self.k),
            (self.k * self.bias,),
            (self.n, *self.outputs, self.k),
        )
        x, w, b, dz = (rng.standard_normal(shape).astype(self.dtype) for shape in shapes)
        return x, w, b, dz

    def scratch(self, ops: Operations) -> Array:
        """The scratch array that `ops` asks for."""
        x, w, _, dz = self.arrays()
        return blank(ops.conv2d_scratch_size(x.shape, w.shape, dz.shape, *self.geometry), self.dtype)


_PLAIN_EXAMPLES = [
    Conv2DCase(1, (1, 1), 1, 1, (1, 1)),
    Conv2DCase(2, (5, 4), 3, 17, (1, 1), activation=1),
    Conv2DCase(2, (8, 9), 1, 6, (5, 5), padding=(2, 2), after=(2, 2), activation=9),
    Conv2DCase(1, (7, 8), 3, 33, (3, 3), stride=(2, 2), padding=(0, 0), after=(1, 1), activation=1),  # "same"
    Conv2DCase(2, (6, 5), 16, 10, (2, 4), stride=(1, 2), padding=(0, 1), after=(1, 2), bias=False),
    Conv2DCase(1, (4, 4), 20, 16, (4, 4), activation=4),  # one output pixel
    Conv2DCase(1, (9, 3), 2, 3, (3, 1), stride=(5, 4)),  # the stride skips pixels
    Conv2DCase(1, (2, 2), 2, 3, (2, 2), padding=(3, 4), after=(4, 3)),  # windows that see no pixel
    Conv2DCase(2, (9, 8), 4, 5, (3, 2), dilation=(2, 3), padding=(2, 1), after=(1, 2), activation=6),
    Conv2DCase(2, (5, 6), 6, 9, (3, 3), groups=3, padding=(1, 1), after=(1, 1)),
    Conv2DCase(1, (6, 6), 17, 17, (3, 3), stride=(2, 1), groups=17, padding=(1, 1), after=(1, 1)),  # depthwise
    Conv2DCase(1, (5, 5), 4, 8, (3, 3), groups=4, dilation=(2, 2), bias=False),  # depthwise, multiplier 2
    Conv2DCase(3, (6, 6), 32, 64, (3, 3), padding=(1, 1), after=(1, 1), activation=2),
    # few channels: images as lanes
    Conv2DCase(33, (4, 5), 3, 6, (3, 3), padding=(1, 1), after=(1, 1), activation=1),
    Conv2DCase(32, (5, 3), 2, 5, (2, 3), stride=(2, 1), padding=(4, 5), dilation=(2, 1), activation=9),
    Conv2DCase(35, (3, 3), 6, 20, (3, 2), padding=(5, 0), after=(0, 4), bias=False),
    # terms as lanes: a partial vector of them and of pixels, dilation and padding beyond the kernel, which take others
    Conv2DCase(1, (3, 70), 3, 4, (3, 3), padding=(1, 1), after=(1, 1)),
    Conv2DCase(1, (7, 9), 1, 3, (3, 2), stride=(2, 1), dilation=(2, 3), padding=(7, 6), after=(5, 6)),
    # the same in tiles of fewer pixels, whose last is whole or not
    Conv2DCase(2, (4, 28), 1, 5, (3, 3), padding=(1, 1), after=(1, 1)),
    Conv2DCase(2, (3, 23), 1, 20, (2, 5), padding=(0, 4), after=(1, 0)),
    Conv2DCase(1, (3, 13), 2, 7, (3, 3), padding=(1, 1), after=(1, 1)),
    Conv2DCase(1, (2, 11), 2, 3, (1, 3)),
    # several pixels side by side, one left over; outputs as rows
    Conv2DCase(2, (6, 9), 1, 6, (5, 5), stride=(1, 2), padding=(2, 3), after=(2, 3)),
    Conv2DCase(1, (6, 6), 5, 20, (5, 5), padding=(2, 6), after=(2, 0), dilation=(2, 1)),
    # the same in bands of rows, and of many channels
    Conv2DCase(2, (33, 30), 3, 16, (3, 3), padding=(1, 1), after=(1, 1)),
    Conv2DCase(1, (12, 9), 7, 11, (2, 3), padding=(3, 5), after=(1, 0), dilation=(1, 2)),
    Conv2DCase(9, (40, 37), 1, 40, (5, 4), padding=(4, 1), after=(0, 2)),
    Conv2DCase(2, (6, 5), 8, 3, (1, 1)),
    Conv2DCase(3, (21, 7), 4, 70, (2, 3), padding=(0, 2), after=(1, 0)),
]
# Input gradients of one channel whose weights stay in registers, in one or two vectors: rows that are no whole vectors,
# windows that see no pixel, bands of rows
SWEPT_EXAMPLES = [
    Conv2DCase(2, (5, 70), 1, 8, (3, 3), padding=(1, 1), after=(1, 1)),
    Conv2DCase(1, (30, 28), 1, 16, (3, 3), padding=(1, 1), after=(1, 1)),
    Conv2DCase(9, (6, 5), 1, 16, (3, 3), bias=False),
    Conv2DCase(3, (2, 3), 1, 32, (3, 3), padding=(4, 5), after=(3, 4)),
    Conv2DCase(1, (4, 33), 1, 32, (3, 3), padding=(2, 0), after=(0, 2)),
    Conv2DCase(3, (7, 12), 1, 20, (5, 5)),
    Conv2DCase(2, (5, 6), 1, 8, (5, 5), padding=(2, 2), after=(2, 2)),
    Conv2DCase(1, (1, 20), 1, 12, (5, 5), padding=(4, 4), after=(3, 4)),
    Conv2DCase(9, (9, 11), 1, 24, (5, 5), padding=(0, 3), after=(2, 0), bias=False),
    Conv2DCase(1, (6, 40), 1, 32, (5, 5), padding=(5, 2), after=(1, 2)),
    Conv2DCase(2, (6, 8), 1, 28, (5, 5), padding=(2, 2), after=(2, 2)),
]
# Enough work for Winograd's products: partial tiles, channels that fill no vector, blocks of many and of few tiles
WINOGRAD_EXAMPLES = [
    Conv2DCase(1, (16, 16), 64, 64, (3, 3), padding=(1, 1), after=(1, 1)),
    Conv2DCase(2, (15, 13), 70, 90, (3, 3), padding=(1, 1), after=(1, 1), activation=1),
    Conv2DCase(4, (17, 16), 41, 50, (3, 3), activation=4),  # no padding
    Conv2DCase(3, (11, 14), 130, 21, (3, 3), padding=(2, 2), after=(2, 2), bias=False),
    Conv2DCase(3, (9, 10), 31, 130, (3, 3), padding=(3, 0), after=(1, 4), activation=9),  # tiles outside the image
    Conv2DCase(26, (5, 6), 100, 101, (3, 3)),  # one tile
    Conv2DCase(9, (3, 70), 47, 50, (3, 3), padding=(1, 1), after=(1, 1)),  # rows longer than a block
    Conv2DCase(30, (9, 11), 8, 27, (3, 3), padding=(1, 1), after=(1, 1), activation=1),  # few channels
    Conv2DCase(5, (14, 9), 35, 66, (3, 3), padding=(1, 1), after=(1, 1), activation=2),
    Conv2DCase(40, (5, 5), 20, 33, (3, 3), padding=(1, 1), after=(1, 1)),  # one large tile
    Conv2DCase(2, (16, 13), 32, 64, (5, 5), padding=(2, 2), after=(2, 2), activation=1),
    Conv2DCase(5, (9, 12), 70, 18, (5, 5), padding=(1, 4), after=(0, 3), activation=4),
    Conv2DCase(9, (12, 12), 20, 50, (5, 5), bias=False),
    Conv2DCase(6, (10, 10), 33, 40, (5, 5), padding=(2, 2), after=(2, 2), activation=1),
    Conv2DCase(20, (4, 7), 45, 64, (5, 5), padding=(2, 0), after=(2, 1), activation=9),
    Conv2DCase(28, (8, 8), 40, 30, (5, 5)),  # its input gradient is a direct product
    Conv2DCase(10, (13, 17), 16, 16, (5, 5), padding=(3, 2), after=(1, 2), activation=2),  # few channels
    Conv2DCase(3, (5, 70), 17, 66, (5, 5), padding=(6, 0), after=(2, 2)),  # outputs that see no pixel
]
# Enough work for copies: images as rows of a product, dense panels of the weights, blocks of pixels and channels
COPY_EXAMPLES = [
    Conv2DCase(15, (8, 8), 40, 44, (5, 4), padding=(2, 2), after=(2, 1), activation=1),  # both, images in one block
    Conv2DCase(15, (9, 7), 35, 50, (3, 3), stride=(2, 2), padding=(1, 0), after=(0, 1), activation=9),
    Conv2DCase(14, (10, 9), 50, 40, (4, 3), stride=(2, 1), padding=(2, 1), after=(1, 1)),  # two sets of weights for dx
    Conv2DCase(2, (5, 150), 70, 48, (2, 3), padding=(0, 1), after=(1, 1)),  # rows longer than a block
    Conv2DCase(2, (30, 21), 41, 36, (5, 5), padding=(4, 4), after=(4, 3), dilation=(2, 3)),  # several blocks of rows
    Conv2DCase(1, (45, 60), 36, 40, (2, 2), dilation=(40, 40)),  # windows larger than a block
    Conv2DCase(3, (12, 12), 80, 96, (3, 3), stride=(2, 2), padding=(1, 1), after=(1, 1), groups=2),
]
# 1x1 of stride 1, dense layers of pixels: few outputs by rows, with and without a transposed copy; sums in parts
POINTWISE_EXAMPLES = [
    Conv2DCase(2, (5, 7), 130, 3, (1, 1), activation=1),
    Conv2DCase(3, (4, 4), 70, 1, (1, 1), activation=9),
    Conv2DCase(9, (12, 11), 33, 20, (1, 1)),
    Conv2DCase(2, (6, 5), 20, 35, (1, 1), bias=False),
]
# Images a multiple of 2 KB apart as rows of a product: copied away from each other; all rows or some, dilation, groups
NEAR_EXAMPLES = [
    Conv2DCase(14, (8, 8), 8, 40, (5, 5), padding=(2, 2), after=(2, 2), activation=2),
    Conv2DCase(14, (8, 8), 32, 24, (3, 3), stride=(2, 2), padding=(0, 1), after=(1, 0)),
    Conv2DCase(28, (16, 4), 24, 24, (4, 3), stride=(3, 1), padding=(3, 1), after=(0, 1), dilation=(2, 1)),
    Conv2DCase(20, (8, 4), 32, 32, (3, 3), padding=(1, 1), after=(1, 1), groups=2),
]
# Winograd's products with images as lanes: odd numbers of rows and columns, windows that see no pixel, several groups
# of images, more rows than there is room for at once
LANEWISE_EXAMPLES = [
    Conv2DCase(64, (14, 14), 6, 16, (5, 5)),
    Conv2DCase(17, (9, 10), 3, 12, (5, 5), padding=(2, 1), after=(2, 2), activation=1),
    Conv2DCase(35, (7, 6), 12, 32, (5, 5), padding=(0, 4), after=(3, 0), bias=False, activation=2),
    Conv2DCase(16, (1, 2), 4, 18, (5, 5), padding=(7, 2), after=(2, 3), activation=6),
    Conv2DCase(18, (31, 33), 3, 32, (5, 5), padding=(1, 2), after=(2, 2)),
]
CONV2D_EXAMPLES = [
    replace(case, dtype=dtype)
    for case in _PLAIN_EXAMPLES + SWEPT_EXAMPLES + WINOGRAD_EXAMPLES + COPY_EXAMPLES + POINTWISE_EXAMPLES
    + NEAR_EXAMPLES + LANEWISE_EXAMPLES
    for dtype in FLOATS
]


@st.composite
def conv2d_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS, channels: int = 49) -> Conv2DCase:
    """Any geometry with at least one output pixel; up to `channels` channels where there is one group."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 8]))
    widths = sizes(max(1, channels // groups))
    size, dilation, stride = (_pair(draw, 1, 5), _pair(draw, 1, 3), _pair(draw, 1, 4))
    reach = [(s - 1) * d + 1 for s, d in zip(size, dilation, strict=True)]
    padding = (draw(st.integers(0, reach[0])), draw(st.integers(0, reach[1])))
    after = (draw(st.integers(0, reach[0])), draw(st.integers(0, reach[1])))
    image = tuple(max(1, reach[a] - padding[a] - after[a]) + extra for a, extra in enumerate(_pair(draw, 0, 5)))
    return Conv2DCase(
        draw(st.integers(1, 3)),
        (image[0], image[1]),
        groups * draw(widths),
        groups * draw(widths),
        size,
        stride,
        padding,
        after,
        dilation,
        groups,
        draw(st.booleans()),
        draw(st.sampled_from(ACTIVATIONS)),
        draw(st.floats(0.01, 2)),
        draw(st.sampled_from(dtypes)),
        draw(SEEDS),
    )


@st.composite
def lanewise_cases(draw: st.DrawFn) -> Conv2DCase:
    """Any shape of which the lanes are images, by Winograd's products."""
    padding, after = _pair(draw, 0, 6), _pair(draw, 0, 6)
    image = tuple(max(1, 5 - padding[a] - after[a]) + extra for a, extra in enumerate(_pair(draw, 0, 9)))
    c = draw(st.integers(2, 12))
    k = 2 * draw(st.integers((32 // c + 1) // 2, 16))
    return Conv2DCase(draw(st.integers(16, 40)), (image[0], image[1]), c, k, (5, 5), padding=padding, after=after,
                      bias=draw(st.booleans()), activation=draw(st.sampled_from(ACTIVATIONS)),
                      alpha=draw(st.floats(0.01, 2)), seed=draw(SEEDS))  # fmt: skip


def is_lanewise(case: Conv2DCase) -> bool:
    """Whether the forward pass is Winograd's with images as lanes."""
    x, w, _, dz = case.arrays()
    geometry = case.stride, case.dilation, case.groups
    return bool(is_lanewise_without_pooling.py_func(len(x), w.shape, dz.shape[2], x.itemsize, *geometry))


def _pair(draw: st.DrawFn, smallest: int, largest: int) -> Pair:
    return draw(st.integers(smallest, largest)), draw(st.integers(smallest, largest))


def check_conv2d(
    ops: Operations, case: Conv2DCase, place: Place = plain, oracle: Operations = naive
) -> None:
    """Forward and both gradients equal the oracle; Winograd's products have larger terms."""
    x, w, b, dz = case.arrays()
    dw, db, dx = blank(w.shape, case.dtype), blank(b.shape, case.dtype), blank(x.shape, case.dtype)
    scratch, y = case.scratch(ops), blank(dz.shape, case.dtype)
    how: dict[str, Any] = {"scratch": True, "place": place, "oracle": oracle}
    fused = (*case.geometry, case.activation, case.alpha)
    larger = 1
    if is_winograd.py_func(dz.shape, w.shape, case.stride, case.dilation, case.groups):
        tiles = {tile_outputs.py_func(case.size[0], a.shape) for a in (dz, x)}
        larger = 10 if tiles & {LARGE_TILE, LARGE_TILE_OF_5} else 4
    terms = 2 * (8 if is_lanewise(case) else larger) * w[..., 0].size
    agree(ops, "conv2d_forward", x, w, b, *fused, scratch, y, terms=terms, **how)
    gradient = ("conv2d_weight_gradient", x, dz, *case.geometry, scratch, dw, db)
    agree(ops, *gradient, outputs=2, terms=larger * dz[..., 0].size, **how)
    terms = larger * w[:, :, 0].size // case.groups
    agree(ops, "conv2d_input_gradient", dz, w, *case.geometry, scratch, dx, terms=terms, **how)


def check_conv2d_gradients(ops: Operations, case: Conv2DCase) -> None:
    """The gradients are slopes of sum(y * dz), and the adjoints of the convolution; always in float64."""
    case = replace(case, dtype="float64")
    x, w, b, dz = case.arrays()

    def forward(x: Array, w: Array, b: Array) -> Array:
        written = (case.scratch(ops), blank(dz.shape, x.dtype))
        return run(ops.conv2d_forward, x, w, b, *case.geometry, 0, 0.0, *written, outputs=2)[1]

    outputs = (case.scratch(ops), blank(w.shape, x.dtype), blank(b.shape, x.dtype))
    _, dw, db = run(ops.conv2d_weight_gradient, x, dz, *case.geometry, *outputs, outputs=3)
    outputs = (case.scratch(ops), blank(x.shape, x.dtype))
    _, dx = run(ops.conv2d_input_gradient, dz, w, *case.geometry, *outputs, outputs=2)
    rng = np.random.default_rng(case.seed)
    slope(lambda x: np.vdot(forward(x, w, b), dz), x, dx, rng)
    slope(lambda w: np.vdot(forward(x, w, b), dz), w, dw, rng)
    slope(lambda b: np.vdot(forward(x, w, b), dz), b, db, rng)
    linear = forward(x, w, b[:0])
    adjoint(x, linear, dz, dx)
    adjoint(w, linear, dz, dw)
