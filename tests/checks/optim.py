"""Checks of the optimizers' updates, of sums of gradients and of clipping."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from .common import FLOATS, SEEDS, Array, Operations, Place, agree, blank, plain, sizes


@dataclass(frozen=True)
class OptimizerCase:
    """Vectors of `size` and the hyper-parameters that some of the updates have."""

    size: int
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decoupled: bool = False
    step: int = 1
    learning_rate: float = 0.1
    dtype: str = "float32"
    seed: int = 0

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Random gradient and parameter, and states: one of any sign, one positive."""
        rng = np.random.default_rng(self.seed)
        dw, w, v, s = (rng.standard_normal(self.size).astype(self.dtype) for _ in range(4))
        return dw, w, v, s * s


OPTIMIZER_EXAMPLES = [
    OptimizerCase(size, *options, dtype=dtype)
    for size, options in [
        (1, ()),
        (100, (0.9,)),
        (33, (0.9, True, 0.01)),
        (17, (0.0, False, 0.1, True, 7)),
        (64, (0.5, True, 0.0, True, 1000)),
        (5, (0.0, True, 0.2, False, 2)),
    ]
    for dtype in FLOATS
]


@st.composite
def optimizer_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> OptimizerCase:
    """Any size, any mix of options."""
    return OptimizerCase(
        draw(sizes(97)),
        draw(st.sampled_from([0.0, 0.5, 0.99])),
        draw(st.booleans()),
        draw(st.sampled_from([0.0, 0.01, 0.5])),
        draw(st.booleans()),
        draw(st.sampled_from([1, 2, 10, 100_000])),
        draw(st.floats(1e-4, 1)),
        draw(st.sampled_from(dtypes)),
        draw(SEEDS),
    )


def check_optimizers(ops: Operations, case: OptimizerCase, place: Place = plain) -> None:
    """One update of SGD, RMSprop and Adam changes parameters and states as the oracle does."""
    dw, w, v, s = case.arrays()
    rate, momentum, decay = case.learning_rate, case.momentum, case.weight_decay
    velocity = v if momentum else v[:0]
    sgd = ("sgd_update", dw, rate, momentum, case.nesterov, decay, velocity, w)
    agree(ops, *sgd, outputs=2, terms=4, place=place)
    # The root of a state near 0 divides: keep it at ordinary size, or the rounding of s shows through.
    rmsprop = ("rmsprop_update", dw, rate, 0.9, 1e-8, momentum, s + s.dtype.type(0.1), velocity, w)
    agree(ops, *rmsprop, outputs=3, terms=16, place=place)
    options = (rate, 0.9, 0.999, 1e-8, decay, case.decoupled, case.step)
    adam = ("adam_update", dw, *options, v, s + s.dtype.type(0.1), w)
    agree(ops, *adam, outputs=3, terms=100 if case.step < 10 else 16, place=place)


def check_gradient_passes(ops: Operations, case: OptimizerCase, place: Place = plain) -> None:
    """Sums, clipping, scaling and the sum of squares equal the oracle; NaN passes through clipping."""
    g, total, *_ = case.arrays()
    agree(ops, "accumulate_gradients", 0.3, 0, total, g, outputs=2, terms=2, place=place)
    total[:] = np.nan  # what nobody has written yet
    agree(ops, "accumulate_gradients", 0.3, 1, total, g, outputs=2, place=place)
    middle = case.size // 2
    g[middle] = np.nan
    agree(ops, "clip_by_value", 0.75, g, place=place)
    g[middle] = 2
    for limit in (0.3, 1e6):
        agree(ops, "clip_by_norm", limit, np.array([np.square(g, dtype="float64").sum()]), g, terms=4, place=place)
    agree(ops, "sum_of_squares", g, blank(1, "float64"), terms=case.size, place=place)
