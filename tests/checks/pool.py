"""Checks of the pooling operations."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from .common import FLOATS, SEEDS, Array, Operations, Place, adjoint, agree, blank, plain, run, sizes, slope

Pair = tuple[int, int]


@dataclass(frozen=True)
class PoolCase:
    """Images (N, H, W, C) and windows; `values`: "distinct" numbers, "ties", or ties with "nan" or "-inf"."""

    n: int
    image: Pair
    c: int
    size: Pair
    stride: Pair
    padding: Pair = (0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True
    values: str = "distinct"
    dtype: str = "float32"
    seed: int = 0

    @property
    def outputs(self) -> Pair:
        """(P, Q) as in PyTorch: with ceil_mode the last window may overhang, but sees a pixel."""
        p, q = (
            _outputs(self.image[a], self.size[a], self.stride[a], self.padding[a], self.ceil_mode)
            for a in (0, 1)
        )
        return p, q

    @property
    def geometry(self) -> tuple[Pair, Pair, Pair]:
        """The arguments that every operation takes."""
        return self.size, self.stride, self.padding

    def arrays(self) -> tuple[Array, Array]:
        """Random x and dy."""
        rng = np.random.default_rng(self.seed)
        shape = (self.n, *self.image, self.c)
        if self.values == "distinct":
            x = rng.permutation(np.prod(shape)).reshape(shape) / np.prod(shape) - 0.5
        else:
            x = rng.integers(-2, 3, shape).astype(float)
            if self.values != "ties":
                x[rng.random(shape) < 0.4] = float(self.values)
        dy = rng.standard_normal((self.n, *self.outputs, self.c))
        return x.astype(self.dtype), dy.astype(self.dtype)


def _outputs(inputs: int, size: int, stride: int, padding: int, ceil_mode: bool) -> int:
    span = inputs + 2 * padding - size
    if not ceil_mode:
        return span // stride + 1
    outputs = -(-span // stride) + 1
    return outputs - ((outputs - 1) * stride >= inputs + padding)


_PLAIN_EXAMPLES = [
    PoolCase(1, (1, 1), 1, (1, 1), (1, 1)),
    PoolCase(2, (6, 8), 17, (2, 2), (2, 2)),
    PoolCase(2, (7, 5), 3, (2, 2), (2, 2), ceil_mode=True, count_include_pad=False),
    PoolCase(1, (7, 7), 33, (3, 3), (2, 2), padding=(1, 1), values="ties"),
    PoolCase(1, (6, 9), 4, (3, 2), (1, 3), padding=(1, 1), ceil_mode=True, values="nan"),
    PoolCase(1, (5, 6), 8, (3, 3), (1, 1), padding=(1, 1), values="-inf"),
    PoolCase(2, (8, 7), 5, (2, 3), (4, 5), values="ties"),  # the stride skips pixels
    # two windows in a vector: odd widths, padding, overlap, gaps
    PoolCase(2, (5, 9), 6, (2, 2), (2, 2), values="ties"),
    PoolCase(1, (4, 7), 8, (2, 2), (2, 2), padding=(1, 1), values="nan"),
    PoolCase(1, (5, 6), 5, (2, 2), (1, 1), ceil_mode=True),
    PoolCase(2, (4, 12), 7, (2, 2), (3, 3), values="-inf"),
    PoolCase(1, (4, 3), 16, (4, 3), (1, 1), count_include_pad=False),  # the whole image
]
POOL_EXAMPLES = [replace(case, dtype=dtype) for case in _PLAIN_EXAMPLES for dtype in FLOATS]


@st.composite
def pool_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS, channels: int = 33) -> PoolCase:
    """Any geometry whose windows all see a pixel (padding at most half a window, as PyTorch requires)."""
    size = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    padding = (draw(st.integers(0, size[0] // 2)), draw(st.integers(0, size[1] // 2)))
    image = (
        max(1, size[0] - 2 * padding[0]) + draw(st.integers(0, 6)),
        max(1, size[1] - 2 * padding[1]) + draw(st.integers(0, 6)),
    )
    return PoolCase(
        draw(st.integers(1, 2)),
        image,
        draw(sizes(channels)),
        size,
        (draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        padding,
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from(["distinct", "ties", "nan", "-inf"])),
        draw(st.sampled_from(dtypes)),
        draw(SEEDS),
    )


def check_max_pool2d(ops: Operations, case: PoolCase, place: Place = plain) -> None:
    """Values and places equal the oracle's exactly, with and without places; so does the gradient."""
    x, dy = case.arrays()
    index, y, dx = blank(dy.shape, "uint16"), blank(dy.shape, case.dtype), blank(x.shape, case.dtype)
    forward = ("max_pool2d_forward", x, *case.geometry)
    index, y = agree(ops, *forward, index, y, outputs=2, place=place)
    _, alone = agree(ops, *forward, index[:0], blank(dy.shape, case.dtype), outputs=2, place=place)
    np.testing.assert_array_equal(alone, y)
    terms = case.size[0] * case.size[1]
    agree(ops, "max_pool2d_backward", index, dy, *case.geometry, dx, terms=terms, place=place)


def check_avg_pool2d(ops: Operations, case: PoolCase, place: Place = plain) -> None:
    """Forward and backward equal the oracle."""
    x, dy = replace(case, values="distinct").arrays()
    arguments, terms = (*case.geometry, case.count_include_pad), case.size[0] * case.size[1]
    y, dx = blank(dy.shape, case.dtype), blank(x.shape, case.dtype)
    agree(ops, "avg_pool2d_forward", x, *arguments, y, terms=terms, place=place)
    agree(ops, "avg_pool2d_backward", dy, *arguments, dx, terms=terms, place=place)


def check_global_avg_pool2d(ops: Operations, case: PoolCase, place: Place = plain) -> None:
    """Forward and backward equal the oracle."""
    x, _ = replace(case, values="distinct").arrays()
    y, terms = blank((case.n, case.c), case.dtype), case.image[0] * case.image[1]
    (y,) = agree(ops, "global_avg_pool2d_forward", x, y, terms=terms, place=place)
    agree(ops, "global_avg_pool2d_backward", y, blank(x.shape, case.dtype), place=place)


def check_pool2d_gradients(ops: Operations, case: PoolCase) -> None:
    """The gradients are slopes of sum(y * dy), and the averages' are adjoints; always in float64."""
    case = replace(case, dtype="float64", values="distinct")
    x, dy = case.arrays()
    rng = np.random.default_rng(case.seed)
    out, dx = blank(dy.shape, x.dtype), blank(x.shape, x.dtype)

    def largest(x: Array) -> list[Array]:
        return run(ops.max_pool2d_forward, x, *case.geometry, blank(dy.shape, "uint16"), out, outputs=2)

    def average(x: Array) -> Array:
        return run(ops.avg_pool2d_forward, x, *case.geometry, case.count_include_pad, out)[0]

    (max_dx,) = run(ops.max_pool2d_backward, largest(x)[0], dy, *case.geometry, dx)
    slope(lambda x: np.vdot(largest(x)[1], dy), x, max_dx, rng)
    (avg_dx,) = run(ops.avg_pool2d_backward, dy, *case.geometry, case.count_include_pad, dx)
    slope(lambda x: np.vdot(average(x), dy), x, avg_dx, rng)
    adjoint(x, average(x), dy, avg_dx)
    dmean = np.ascontiguousarray(dy[:, 0, 0])
    (mean,) = run(ops.global_avg_pool2d_forward, x, blank(dmean.shape, x.dtype))
    adjoint(x, mean, dmean, run(ops.global_avg_pool2d_backward, dmean, dx)[0])
