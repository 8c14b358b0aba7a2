"""Checks of the shares of right answers."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from .common import FLOATS, SEEDS, Operations, Place, agree, blank, plain, sizes


@dataclass(frozen=True)
class MetricCase:
    """Outputs (N, C), with ties, and what they should be."""

    n: int
    c: int
    dtype: str = "float32"
    seed: int = 0


SHAPES = [(1, 1), (7, 10), (33, 2), (4, 40), (5, 300), (3, 1000)]
METRIC_EXAMPLES = [MetricCase(*shape, dtype) for shape in SHAPES for dtype in FLOATS]


@st.composite
def metric_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> MetricCase:
    """Any shape."""
    return MetricCase(draw(sizes(48)), draw(sizes(300)), draw(st.sampled_from(dtypes)), draw(SEEDS))


def check_accuracies(ops: Operations, case: MetricCase, place: Place = plain) -> None:
    """The three accuracies equal the oracle's."""
    rng = np.random.default_rng(case.seed)
    outputs = rng.integers(-3, 3, (case.n, case.c)).astype(case.dtype)
    labels = np.where(rng.integers(0, 2, case.n), outputs.argmax(axis=1), rng.integers(0, case.c, case.n))
    targets = np.eye(case.c, dtype=case.dtype)[labels]
    accuracy = blank(1, "float64")
    agree(ops, "class_accuracy", outputs, labels, accuracy, place=place)
    agree(ops, "one_hot_accuracy", outputs, targets, accuracy, place=place)
    agree(ops, "sign_accuracy", outputs.reshape(-1), targets.reshape(-1), accuracy, place=place)
