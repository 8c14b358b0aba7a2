"""Checks of batch normalisation."""

from dataclasses import dataclass, replace
from itertools import product

import naive
import numpy as np
from hypothesis import strategies as st

from .common import FLOATS, SEEDS, Array, Operations, Place, agree, blank, plain, run, sizes, slope


@dataclass(frozen=True)
class NormCase:
    """x (M, C): normal numbers plus `offset`."""

    m: int
    c: int
    offset: float = 0.0
    eps: float = 1e-5
    dtype: str = "float32"
    seed: int = 0

    def arrays(self) -> tuple[Array, ...]:
        """Random x, gamma, beta, dy, and x's mean and variance (by the oracle)."""
        rng = np.random.default_rng(self.seed)
        shapes = ((self.m, self.c), self.c, self.c, (self.m, self.c))
        x, gamma, beta, dy = (rng.standard_normal(shape) for shape in shapes)
        x = (x + self.offset).astype(self.dtype)
        mean, var, y = np.empty(self.c), np.empty(self.c), np.empty(x.shape)
        naive.batch_norm_forward(x.astype(float), gamma, beta, self.eps, x[:0], False, y, mean, var, y)
        return x, *(a.astype(self.dtype) for a in (gamma, beta, dy, mean, var))

    def scratch(self, ops: Operations) -> Array:
        """The scratch array that `ops` asks for."""
        return blank(ops.batch_norm_scratch_size(self.m, self.c), self.dtype)


NORM_EXAMPLES = [
    NormCase(*shape, offset=offset, dtype=dtype)
    for shape, offset in [
        ((1, 1), 0),
        ((2, 17), 3),
        ((33, 10), 100),
        ((7, 1), 0),
        ((100, 33), -1),
        ((1, 9), 5),
    ]
    for dtype in FLOATS
]


@st.composite
def norm_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> NormCase:
    """Any shape, around 0 or far from it."""
    return NormCase(
        draw(sizes(97)),
        draw(sizes(33)),
        draw(st.sampled_from([0.0, 1.0, -100.0])),
        draw(st.sampled_from([1e-5, 1e-3])),
        draw(st.sampled_from(dtypes)),
        draw(SEEDS),
    )


def check_batch_norm(ops: Operations, case: NormCase, place: Place = plain) -> None:
    """Training and inference, forward and backward, equal the oracle."""
    x, gamma, beta, dy, mean, var = case.arrays()
    out, channel, scratch = blank(x.shape, case.dtype), blank(case.c, case.dtype), case.scratch(ops)
    # x and mean are rounded in units of their own size, which the division by the deviation enlarges.
    largest = 1 + np.abs(x).max()
    enlarged = (case.m + largest) * max(1, float(np.max(1 / np.sqrt(var + case.eps))))
    written = (channel, channel, out)
    unclear = np.abs(_output(case)) < 1e-3  # whether ReLU passes these may be rounding's choice
    for skip, rectify in ((x[:0], False), (dy, False), (x[:0], True), (dy, True)):
        agree(
            ops,
            "batch_norm_forward",
            *(x, gamma, beta, case.eps, skip, rectify, scratch, *written),
            outputs=3,
            scratch=True,
            terms=4 * enlarged,
            place=place,
        )
        inference = (x, gamma, beta, mean, var, case.eps, skip, rectify, out)
        agree(ops, "batch_norm_inference", *inference, terms=4 * enlarged, place=place)
    for rectify, name in product((False, True), ("batch_norm_backward", "batch_norm_inference_backward")):
        passed = np.where(unclear, 0, dy).astype(case.dtype) if rectify else dy
        agree(
            ops,
            name,
            *(x, gamma, beta, mean, var, case.eps, rectify, passed, scratch, out, channel, channel),
            outputs=3,
            scratch=True,
            terms=4 * enlarged**2 if case.m < 3 else 4 * enlarged,
            place=place,
        )


def _output(case: NormCase) -> Array:
    """The oracle's y."""
    x, gamma, beta, _, mean, var = (a.astype(np.float64) for a in case.arrays())
    y = np.empty(x.shape)
    naive.batch_norm_inference(x, gamma, beta, mean, var, case.eps, x[:0], False, y)
    return y


def check_batch_norm_follow(ops: Operations, case: NormCase, place: Place = plain) -> None:
    """The running moments move as the oracle's."""
    _, mean, var, *_ = case.arrays()
    running = (var + 1, mean + 2)
    agree(ops, "batch_norm_follow", case.m + 1, 0.3, mean, var, *running, outputs=2, terms=8, place=place)


def check_batch_norm_is_stable(ops: Operations, dtype: str) -> None:
    """Far from 0 the variance keeps its digits, where E[x^2] - E[x]^2 would lose them all; so it does where the first
    rows are far from the others."""
    rng = np.random.default_rng(0)
    _check_moments(ops, (1e4 + rng.standard_normal((5000, 3))).astype(dtype), 1e-4)
    x = rng.standard_normal((1000, 130)).astype(dtype)
    x[:8] += 1000
    _check_moments(ops, x, 1e-5)


def _check_moments(ops: Operations, x: Array, tolerance: float) -> None:
    dtype, c = x.dtype, x.shape[1]
    one, zero, out = np.ones(c, dtype), np.zeros(c, dtype), blank(x.shape, dtype)
    scratch = blank(ops.batch_norm_scratch_size(*x.shape), dtype)
    outputs = (scratch, blank(c, dtype), blank(c, dtype), out)
    _, mean, var, y = run(ops.batch_norm_forward, x, one, zero, 1e-5, x[:0], False, *outputs, outputs=4)
    exact = x.astype(np.float64)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=4 * eps, atol=4 * eps * exact.std())
    np.testing.assert_allclose(var, exact.var(axis=0), rtol=tolerance)
    np.testing.assert_allclose(y.astype(float).std(axis=0), 1, rtol=1e-4)


def check_batch_norm_gradients(ops: Operations, case: NormCase) -> None:
    """The gradients are slopes of sum(y * dy), training and inference; always in float64."""
    case = replace(case, dtype="float64", eps=1e-2, offset=min(case.offset, 1.0))
    x, gamma, beta, dy, mean, var = case.arrays()
    out, channel, scratch = blank(x.shape, x.dtype), blank(case.c, x.dtype), case.scratch(ops)

    def training(x: Array, gamma: Array, beta: Array) -> float:
        arguments = (x, gamma, beta, case.eps, x[:0], False, scratch, channel, channel, out)
        return float(np.vdot(run(ops.batch_norm_forward, *arguments, outputs=4)[3], dy))

    def inference(x: Array, gamma: Array, beta: Array) -> float:
        (y,) = run(ops.batch_norm_inference, x, gamma, beta, mean, var, case.eps, x[:0], False, out)
        return float(np.vdot(y, dy))

    for forward, backward in (
        (training, ops.batch_norm_backward),
        (inference, ops.batch_norm_inference_backward),
    ):
        arguments = (x, gamma, beta, mean, var, case.eps, False, dy, scratch, out, channel, channel)
        _, dx, dgamma, dbeta = run(backward, *arguments, outputs=4)
        rng = np.random.default_rng(case.seed)
        slope(lambda x, forward=forward: forward(x, gamma, beta), x, dx, rng)
        slope(lambda gamma, forward=forward: forward(x, gamma, beta), gamma, dgamma, rng)
        slope(lambda beta, forward=forward: forward(x, gamma, beta), beta, dbeta, rng)
