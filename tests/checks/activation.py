"""Checks of activations, clipping, softmax, log-softmax and dropout."""

from dataclasses import dataclass, replace

import naive
import numpy as np
from hypothesis import strategies as st

from .common import FLOATS, SEEDS, Array, Operations, Place, agree, blank, in_place, plain, run, sizes, slope

ACTIVATIONS = tuple(range(10))
RELU, LEAKY_RELU, ELU = 1, 2, 3
_LARGE = (0.0, -0.0, 1e-30, -1e-30, 20.0, -20.0, 90.0, -90.0, 750.0, -750.0, 1e30, -1e30)


@dataclass(frozen=True)
class ActivationCase:
    """A vector of `size` normal numbers times `spread`; `special` puts zeros and huge numbers in front."""

    activation: int
    size: int
    alpha: float = 0.1
    spread: float = 2.0
    special: bool = False
    dtype: str = "float32"
    seed: int = 0

    def arrays(self) -> tuple[Array, Array, Array]:
        """Random x, its y (by the oracle), and dy."""
        rng = np.random.default_rng(self.seed)
        x = self.spread * rng.standard_normal(self.size)
        if self.special:
            x = np.concatenate([_LARGE, x])
        x, dy = x.astype(self.dtype), rng.standard_normal(x.size).astype(self.dtype)
        y = np.empty(x.size)
        naive.activation_forward(self.activation, self.alpha, x, y)
        return x, y.astype(self.dtype), dy


ACTIVATION_EXAMPLES = [
    ActivationCase(activation, size, alpha=1.5, spread=spread, special=size == 100, dtype=dtype)
    for activation in ACTIVATIONS
    for size, spread in ((1, 1.0), (100, 3.0), (37, 1e-3))
    for dtype in FLOATS
]


@st.composite
def activation_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> ActivationCase:
    """Any activation of 1 to 97 numbers of any magnitude."""
    return ActivationCase(
        draw(st.sampled_from(ACTIVATIONS)),
        draw(sizes(97)),
        draw(st.floats(0.01, 2)),
        draw(st.sampled_from([1e-6, 0.1, 1.0, 5.0, 50.0, 1e4])),
        draw(st.booleans()),
        draw(st.sampled_from(dtypes)),
        draw(SEEDS),
    )


def check_activation(ops: Operations, case: ActivationCase, place: Place = plain) -> None:
    """Forward and backward equal the oracle, also in place, and read only the array that they may read."""
    x, y, dy = case.arrays()
    code, alpha, out = case.activation, case.alpha, blank(x.shape, case.dtype)
    agree(ops, "activation_forward", code, alpha, x, out, place=place)
    in_place(ops.activation_forward, code, alpha, x, out, source=2, place=place)
    from_input = code in naive.SLOPE_FROM_INPUT
    sources = (x, y[:0]) if from_input else (x[:0], y)
    agree(ops, "activation_backward", code, alpha, *sources, dy, out, place=place)
    for source in (4, 2 if from_input else 3):
        in_place(ops.activation_backward, code, alpha, *sources, dy, out, source=source, place=place)


def check_activation_passes_nan(ops: Operations, activation: int, dtype: str) -> None:
    """NaN in x comes out as NaN, and leaves its neighbours alone; NaN in dy of a live unit as well."""
    x = np.linspace(0.5, 2, 35).astype(dtype)
    x[[0, 17, 34]] = np.nan
    agree(ops, "activation_forward", activation, 0.1, x, blank(x.shape, dtype))
    live = np.abs(np.linspace(0.1, 0.9, 35)).astype(dtype)
    (dx,) = run(ops.activation_backward, activation, 0.1, live, live, x, blank(x.shape, dtype))
    np.testing.assert_array_equal(np.isnan(dx), np.isnan(x))


def check_activation_gradient(ops: Operations, case: ActivationCase) -> None:
    """dx / dy is the slope of f, by central differences away from kinks; always in float64."""
    x, _, dy = replace(case, dtype="float64", special=False).arrays()
    if case.activation in (RELU, LEAKY_RELU, ELU):
        x += np.copysign(0.01, x)
    code, alpha, out = case.activation, case.alpha, blank(x.shape, x.dtype)
    step = 1e-6 * np.maximum(1, np.abs(x))
    (y,) = run(ops.activation_forward, code, alpha, x, out)
    (above,) = run(ops.activation_forward, code, alpha, x + step, out)
    (below,) = run(ops.activation_forward, code, alpha, x - step, out)
    (dx,) = run(ops.activation_backward, code, alpha, x, y, dy, out)
    np.testing.assert_allclose(dx, dy * (above - below) / (x + step - (x - step)), rtol=1e-6, atol=1e-8)


def check_clip(ops: Operations, case: ActivationCase, place: Place = plain) -> None:
    """Both directions equal the oracle, also in place: on the limits, beyond them, and for NaN."""
    x, _, dy = case.arrays()
    low, high = -0.5, 1.25  # floats of both types
    x[: case.size // 4] = high
    x[case.size // 3 : case.size // 2] = low
    x[x.size // 2] = np.nan
    out = blank(x.shape, case.dtype)
    (y,) = agree(ops, "clip_forward", low, high, x, out, place=place)
    in_place(ops.clip_forward, low, high, x, out, source=2, place=place)
    agree(ops, "clip_backward", low, high, y, dy, out, place=place)
    for source in (2, 3):
        in_place(ops.clip_backward, low, high, y, dy, out, source=source, place=place)


@dataclass(frozen=True)
class SoftmaxCase:
    """Rows (N, C) of normal numbers times `spread`, plus `offset`."""

    n: int
    c: int
    spread: float = 1.0
    offset: float = 0.0
    dtype: str = "float32"
    seed: int = 0

    def arrays(self) -> tuple[Array, Array]:
        """Random x and dy."""
        rng = np.random.default_rng(self.seed)
        x = self.spread * rng.standard_normal((self.n, self.c)) + self.offset
        return x.astype(self.dtype), rng.standard_normal(x.shape).astype(self.dtype)


SOFTMAX_EXAMPLES = [
    SoftmaxCase(*shape, spread=spread, offset=offset, dtype=dtype)
    for shape, spread, offset in [
        ((1, 1), 1, 0), ((3, 10), 1, 1e4), ((7, 33), 300, -5), ((33, 2), 1e-3, 0), ((3, 150), 2, -40),
    ]  # fmt: skip
    for dtype in FLOATS
]


@st.composite
def softmax_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> SoftmaxCase:
    """Any shape, spreads from nearly equal to one-hot, far from 0 or not."""
    return SoftmaxCase(
        draw(sizes(12)),
        draw(sizes(49)),
        draw(st.sampled_from([1e-3, 1.0, 10.0, 1e3])),
        draw(st.sampled_from([0.0, 100.0, -1e4])),
        draw(st.sampled_from(dtypes)),
        draw(SEEDS),
    )


def check_softmax(ops: Operations, case: SoftmaxCase, place: Place = plain) -> None:
    """Softmax and log-softmax, forward and backward, equal the oracle."""
    x, dy = case.arrays()
    out = blank(x.shape, case.dtype)
    (y,) = agree(ops, "softmax_forward", x, out, terms=case.c, place=place)
    agree(ops, "softmax_backward", y, dy, out, terms=case.c, place=place)
    (log_y,) = agree(ops, "log_softmax_forward", x, out, terms=case.c, place=place)
    agree(ops, "log_softmax_backward", log_y, dy, out, terms=case.c, place=place)


def check_softmax_gradients(ops: Operations, case: SoftmaxCase) -> None:
    """dx is the slope of sum(y * dy); always in float64."""
    x, dy = replace(case, spread=min(case.spread, 2), dtype="float64").arrays()
    out = blank(x.shape, x.dtype)
    for name in ("softmax", "log_softmax"):
        forward = getattr(ops, f"{name}_forward")
        (y,) = run(forward, x, out)
        (dx,) = run(getattr(ops, f"{name}_backward"), y, dy, out)
        rng = np.random.default_rng(case.seed)
        slope(lambda x, forward=forward: np.vdot(run(forward, x, out)[0], dy), x, dx, rng)


@dataclass(frozen=True)
class DropoutCase:
    """A vector of `size` numbers, a rate and a key."""

    size: int
    rate: float
    key: int
    dtype: str = "float32"


DROPOUT_EXAMPLES = [
    DropoutCase(size, rate, key, dtype)
    for size, rate, key in [(1, 0.5, 1), (100, 0.0, 7), (1000, 0.9, 2**63 - 1), (333, 0.25, 0)]
    for dtype in FLOATS
]


@st.composite
def dropout_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> DropoutCase:
    """Any rate below 1, any key."""
    key = draw(st.integers(0, 2**63 - 1))
    return DropoutCase(draw(sizes(97)), draw(st.floats(0, 0.99)), key, draw(st.sampled_from(dtypes)))


def check_dropout(ops: Operations, case: DropoutCase, place: Place = plain) -> None:
    """Both directions keep and scale exactly the oracle's elements, also in place."""
    x = np.random.default_rng(0).standard_normal(case.size).astype(case.dtype)
    for name in ("dropout_forward", "dropout_backward"):
        out = blank(x.shape, case.dtype)
        (y,) = agree(ops, name, case.rate, case.key, x, out, terms=1 / (1 - case.rate), place=place)
        expected = np.empty(x.size)
        naive.dropout_forward(case.rate, case.key, x, expected)
        np.testing.assert_array_equal(y == 0, expected == 0)
        in_place(getattr(ops, name), case.rate, case.key, x, out, source=2, place=place)


def check_dropout_keeps_its_share(ops: Operations, dtype: str) -> None:
    """Of many elements, the share that is kept is 1 - rate within 5 standard deviations, under any key."""
    x = np.ones(20_000, dtype)
    for key, rate in ((1, 0.5), (2, 0.1), (2**62, 0.8)):
        (y,) = run(ops.dropout_forward, rate, key, x, blank(x.shape, dtype))
        deviation = np.sqrt(rate * (1 - rate) / x.size)
        assert abs(np.mean(y != 0) - (1 - rate)) < 5 * deviation
