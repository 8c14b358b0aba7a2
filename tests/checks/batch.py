"""Checks of mini-batches and of the sum of a skip connection."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from .common import FLOATS, SEEDS, Operations, Place, agree, blank, plain, sizes


@dataclass(frozen=True)
class BatchCase:
    """Some of `rows` rows of `c` numbers."""

    rows: int
    n: int
    c: int
    dtype: str = "float32"
    seed: int = 0


BATCH_EXAMPLES = [
    BatchCase(*shape, dtype) for shape in [(1, 1, 1), (9, 40, 7), (50, 17, 33)] for dtype in (*FLOATS, "int64")
]


@st.composite
def batch_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = (*FLOATS, "int64")) -> BatchCase:
    """Any shape and type."""
    return BatchCase(draw(sizes(33)), draw(sizes(48)), draw(sizes(65)), draw(st.sampled_from(dtypes)), draw(SEEDS))


def check_gather(ops: Operations, case: BatchCase, place: Place = plain) -> None:
    """The batch has the rows in their order, repeated ones too."""
    rng = np.random.default_rng(case.seed)
    source = (100 * rng.standard_normal((case.rows, case.c))).astype(case.dtype)
    agree(ops, "gather", source, rng.integers(0, case.rows, case.n), blank((case.n, case.c), case.dtype), place=place)


def check_residual_add(ops: Operations, case: BatchCase, place: Place = plain) -> None:
    """The sum equals the oracle's."""
    dtype = case.dtype if case.dtype in FLOATS else "float32"
    a, b = np.random.default_rng(case.seed).standard_normal((2, case.n * case.c)).astype(dtype)
    agree(ops, "residual_add", a, b, blank(a.size, dtype), place=place)
