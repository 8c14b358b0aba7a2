"""Checks of the losses."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .common import FLOATS, SEEDS, Array, Operations, Place, agree, blank, close, in_place, plain, run, sizes, slope


@dataclass(frozen=True)
class CrossEntropyCase:
    """Logits (N, C), normal numbers times `spread`."""

    n: int
    c: int
    class_weights: bool = False
    label_smoothing: float = 0.0
    spread: float = 1.0
    dtype: str = "float32"
    seed: int = 0

    def arrays(self) -> tuple[Array, Array, Array]:
        """Random logits, labels and class weights."""
        rng = np.random.default_rng(self.seed)
        logits = self.spread * rng.standard_normal((self.n, self.c))
        labels = rng.integers(0, self.c, self.n)
        weights = rng.uniform(0.1, 2, self.c * self.class_weights)
        return logits.astype(self.dtype), labels, weights.astype(self.dtype)


CROSS_ENTROPY_EXAMPLES = [
    CrossEntropyCase(*shape, class_weights=weights, label_smoothing=smoothing, spread=spread, dtype=dtype)
    for shape, weights, smoothing, spread in [
        ((1, 1), False, 0.0, 1.0),
        ((32, 10), False, 0.0, 3.0),
        ((5, 33), True, 0.1, 1.0),
        ((3, 2), True, 0.0, 1e3),
        ((17, 7), False, 1.0, 1.0),
        ((4, 150), True, 0.0, 3.0),
    ]
    for dtype in FLOATS
]


@st.composite
def cross_entropy_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> CrossEntropyCase:
    """Any shape, with or without class weights and smoothing."""
    return CrossEntropyCase(
        draw(sizes(12)),
        draw(sizes(33)),
        draw(st.booleans()),
        draw(st.one_of(st.just(0.0), st.floats(0, 1))),
        draw(st.sampled_from([1e-3, 1.0, 10.0, 1e3])),
        draw(st.sampled_from(dtypes)),
        draw(SEEDS),
    )


def check_softmax_cross_entropy(ops: Operations, case: CrossEntropyCase, place: Place = plain) -> None:
    """Probabilities, losses and gradient equal the oracle."""
    logits, labels, weights = case.arrays()
    options = (labels, weights, case.label_smoothing)
    outputs = (blank(logits.shape, case.dtype), blank(case.n, case.dtype))
    forward = ("softmax_cross_entropy_forward", logits, *options, *outputs)
    probabilities, _ = agree(ops, *forward, outputs=2, terms=2 * case.c * (1 + case.spread), place=place)
    backward = ("softmax_cross_entropy_backward", probabilities, *options, 0.25, outputs[0])
    agree(ops, *backward, terms=2 * case.c, place=place)


def check_softmax_cross_entropy_gradient(ops: Operations, case: CrossEntropyCase) -> None:
    """The gradients for labels and for soft targets are the slopes of scale * sum(losses); always in float64."""
    case = replace(case, dtype="float64", spread=min(case.spread, 3.0))
    logits, labels, weights = case.arrays()
    outputs, scale = (blank(logits.shape, logits.dtype), blank(case.n, logits.dtype)), 0.7
    for kind, targets in (("softmax", labels), ("soft", _soft_targets(case))):
        options = (targets, weights, case.label_smoothing)
        operation = getattr(ops, f"{kind}_cross_entropy_forward")

        def forward(logits: Array, operation: Any = operation, options: Any = options) -> list[Array]:
            return run(operation, logits, *options, *outputs, outputs=2)

        backward = getattr(ops, f"{kind}_cross_entropy_backward")
        (dlogits,) = run(backward, forward(logits)[0], *options, scale, outputs[0])
        rng = np.random.default_rng(case.seed)
        slope(lambda x, forward=forward: scale * float(forward(x)[1].sum()), logits, dlogits, rng)


def _soft_targets(case: CrossEntropyCase) -> Array:
    """Rows of probabilities, some of them one-hot."""
    rng = np.random.default_rng(case.seed + 1)
    targets = rng.dirichlet(np.full(case.c, 0.5), case.n)
    certain = rng.random(case.n) < 0.3
    targets[certain] = np.eye(case.c)[rng.integers(0, case.c, certain.sum())]
    return targets.astype(case.dtype)


def check_soft_cross_entropy(ops: Operations, case: CrossEntropyCase, place: Place = plain) -> None:
    """Probabilities, losses and gradient equal the oracle; for one-hot rows they are those of the labels."""
    logits, labels, weights = case.arrays()
    options = (_soft_targets(case), weights, case.label_smoothing)
    outputs = (blank(logits.shape, case.dtype), blank(case.n, case.dtype))
    forward = ("soft_cross_entropy_forward", logits, *options, *outputs)
    probabilities, _ = agree(ops, *forward, outputs=2, terms=2 * case.c * (1 + case.spread), place=place)
    backward = ("soft_cross_entropy_backward", probabilities, *options, 0.25, outputs[0])
    agree(ops, *backward, terms=2 * case.c, place=place)


def check_one_hot_cross_entropy(ops: Operations, case: CrossEntropyCase) -> None:
    """One-hot rows are worth what their labels are."""
    logits, labels, weights = case.arrays()
    outputs = (blank(logits.shape, case.dtype), blank(case.n, case.dtype))
    one_hot = np.eye(case.c, dtype=case.dtype)[labels]
    rest = (weights, case.label_smoothing)
    results = []
    for kind, targets in (("soft", one_hot), ("softmax", labels)):
        found = run(getattr(ops, f"{kind}_cross_entropy_forward"), logits, targets, *rest, *outputs, outputs=2)
        found += run(getattr(ops, f"{kind}_cross_entropy_backward"), found[0], targets, *rest, 0.25, outputs[0])
        results.append(found)
    for actual, expected in zip(*results, strict=True):
        close(actual, expected, terms=2 * case.c * (1 + case.spread))


@dataclass(frozen=True)
class ElementLossCase:
    """Vectors of `size` predictions, normal numbers times `spread`, and targets in 0..1."""

    size: int
    spread: float = 1.0
    dtype: str = "float32"
    seed: int = 0

    def arrays(self) -> tuple[Array, Array]:
        """Random predictions (or logits) and targets, some of them exactly 0 or 1."""
        rng = np.random.default_rng(self.seed)
        predictions = self.spread * rng.standard_normal(self.size)
        targets = np.clip(rng.uniform(-0.5, 1.5, self.size), 0, 1)
        return predictions.astype(self.dtype), targets.astype(self.dtype)


ELEMENT_LOSS_EXAMPLES = [
    ElementLossCase(size, spread, dtype)
    for size, spread in [(1, 1.0), (100, 5.0), (35, 1e3), (17, 1e-3)]
    for dtype in FLOATS
]


@st.composite
def element_loss_cases(draw: st.DrawFn, dtypes: tuple[str, ...] = FLOATS) -> ElementLossCase:
    """Any size and magnitude."""
    spread = draw(st.sampled_from([1e-3, 1.0, 10.0, 1e3]))
    return ElementLossCase(draw(sizes(97)), spread, draw(st.sampled_from(dtypes)), draw(SEEDS))


def check_element_losses(ops: Operations, case: ElementLossCase, place: Place = plain) -> None:
    """Binary cross-entropy and squared error, forward and backward, equal the oracle; also in place."""
    predictions, targets = case.arrays()
    out = blank(case.size, case.dtype)
    for name in ("binary_cross_entropy", "mean_squared_error"):
        forward, backward = f"{name}_forward", f"{name}_backward"
        agree(ops, forward, predictions, targets, out, terms=2 + case.spread, place=place)
        agree(ops, backward, predictions, targets, 0.5, out, terms=2 + case.spread, place=place)
        in_place(getattr(ops, backward), predictions, targets, 0.5, out, source=0, place=place)


def check_total_loss(ops: Operations, case: ElementLossCase, place: Place = plain) -> None:
    """The sum is added in float64."""
    losses, _ = case.arrays()
    agree(ops, "total_loss", losses, blank(1, "float64"), terms=4 * case.size * (1 + case.spread), place=place)


def check_element_loss_gradients(ops: Operations, case: ElementLossCase) -> None:
    """The gradients are slopes of scale * sum(losses); always in float64."""
    predictions, targets = replace(case, dtype="float64", spread=min(case.spread, 3.0)).arrays()
    out, scale = blank(case.size, "float64"), 0.7
    for name in ("binary_cross_entropy", "mean_squared_error"):
        forward = getattr(ops, f"{name}_forward")
        (dx,) = run(getattr(ops, f"{name}_backward"), predictions, targets, scale, out)
        slope(
            lambda x, forward=forward: scale * float(run(forward, x, targets, out)[0].sum()),
            predictions,
            dx,
            np.random.default_rng(case.seed),
        )
