"""Checks of the dense layer's operations."""

from dataclasses import dataclass, replace

import naive
import numpy as np
from hypothesis import strategies as st

from .activation import ACTIVATIONS
from .common import FLOATS, SEEDS, Array, Operations, Place, adjoint, agree, blank, plain, run, sizes, slope


@dataclass(frozen=True)
class DenseCase:
    """x (N, C) times w (C, K)."""

    n: int
    c: int
    k: int
    bias: bool = True
    activation: int = 0
    alpha: float = 0.1
    dtype: str = "float32"
    seed: int = 0

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Random x, w, b and dz."""
        rng = np.random.default_rng(self.seed)
        shapes = ((self.n, self.c), (self.c, self.k), (self.k * self.bias,), (self.n, self.k))
        x, w, b, dz = (rng.standard_normal(shape).astype(self.dtype) for shape in shapes)
        return x, w, b, dz


DENSE_EXAMPLES = [
    replace(DenseCase(*shape, activation=activation, bias=activation != 3), dtype=dtype)
    for activation, shape in enumerate(
        [(1, 1, 1), (1, 7, 1), (3, 1, 17), (2, 33, 31), (17, 16, 16), (33, 65, 97), (1, 100, 10), (5, 3, 2)]
    )
    for dtype in FLOATS
] + [
    # Rows of x a multiple of 4 KB apart, which are copied; in several blocks of the inner sum
    DenseCase(60, 1024, 70, activation=1),
    DenseCase(131, 512, 33, activation=9, dtype="float64"),
    # With small panels: few outputs of many samples, whose input gradient copies w alone and whose weight gradient x
    DenseCase(300, 37, 64, activation=9),
    DenseCase(270, 50, 10, activation=1),
    # Few outputs: by rows of x forward, as the transpose back, in parts of the samples and of the inputs
    DenseCase(9, 130, 3, activation=1),
    DenseCase(21, 260, 4, activation=9),
    DenseCase(67, 600, 1, activation=3),
    DenseCase(1030, 33, 2, activation=1, dtype="float64"),
    DenseCase(70, 300, 14),
    # Few samples or inputs, whose input gradient goes by rows: up to 4, and up to 8 with many terms
    DenseCase(3, 50, 70),
    DenseCase(41, 2, 33, dtype="float64"),
    DenseCase(7, 9, 460),
    DenseCase(19, 8, 449),
]


@st.composite
def dense_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS, largest: int = 49) -> DenseCase:
    """Any shape up to `largest`, any activation."""
    return DenseCase(
        draw(sizes(largest)),
        draw(sizes(largest)),
        draw(sizes(largest)),
        draw(st.booleans()),
        draw(st.sampled_from(ACTIVATIONS)),
        draw(st.floats(0.01, 2)),
        draw(st.sampled_from(dtypes)),
        draw(SEEDS),
    )


def check_dense(
    ops: Operations, case: DenseCase, place: Place = plain, oracle: Operations = naive
) -> None:
    """Forward and both gradients equal the oracle."""
    x, w, b, dz = case.arrays()
    y, scratch = blank(dz.shape, case.dtype), blank(ops.dense_scratch_size(case.n, case.c, case.k), case.dtype)
    forward = ("dense_forward", x, w, b, case.activation, case.alpha, scratch, y)
    agree(ops, *forward, scratch=True, terms=2 * case.c, place=place, oracle=oracle)
    dw, db, dx = blank(w.shape, case.dtype), blank(b.shape, case.dtype), blank(x.shape, case.dtype)
    gradient = ("dense_weight_gradient", x, dz, scratch, dw, db)
    agree(ops, *gradient, outputs=2, scratch=True, terms=case.n, place=place, oracle=oracle)
    for relu in (x[:0], x):
        gradient = ("dense_input_gradient", dz, w, relu, scratch, dx)
        agree(ops, *gradient, scratch=True, terms=case.k, place=place, oracle=oracle)


def check_dense_gradients(ops: Operations, case: DenseCase) -> None:
    """The gradients are slopes of sum(y * dz), and the adjoints of the product; always in float64."""
    x, w, b, dz = replace(case, dtype="float64").arrays()

    def forward(x: Array, w: Array, b: Array) -> Array:
        return run(ops.dense_forward, x, w, b, 0, 0.0, scratch, blank(dz.shape, x.dtype), outputs=2)[1]

    scratch = blank(ops.dense_scratch_size(case.n, case.c, case.k), x.dtype)
    outputs = (blank(w.shape, x.dtype), blank(b.shape, x.dtype))
    _, dw, db = run(ops.dense_weight_gradient, x, dz, scratch, *outputs, outputs=3)
    _, dx = run(ops.dense_input_gradient, dz, w, x[:0], scratch, blank(x.shape, x.dtype), outputs=2)
    rng = np.random.default_rng(case.seed)
    slope(lambda x: np.vdot(forward(x, w, b), dz), x, dx, rng)
    slope(lambda w: np.vdot(forward(x, w, b), dz), w, dw, rng)
    slope(lambda b: np.vdot(forward(x, w, b), dz), b, db, rng)
    linear = forward(x, w, b[:0])
    adjoint(x, linear, dz, dx)
    adjoint(w, linear, dz, dw)
