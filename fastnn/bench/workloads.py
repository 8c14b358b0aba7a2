"""The rows of the comparison, and the figure that each is to reach."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from fastnn.bench import nets
from fastnn.bench.nets import Net

Kind = Literal["train", "predict", "threads", "precision", "process"]
GROUPS: dict[Kind, str] = {
    "train": "Training step",
    "predict": "Inference",
    "threads": "All threads against one",
    "precision": "Products of bf16 against those of float32",
    "process": "Whole processes",
}
# Peers by what a figure calls them; "peer/variant" is one variant of a peer.
PYTORCH, EAGER = ("pytorch", "torch-compile"), ("pytorch",)
JITTED_STEP = ("jax/step",)
NAMES = {
    PYTORCH: "PyTorch", EAGER: "PyTorch eager", (*PYTORCH, "jax"): "PyTorch and JAX", JITTED_STEP: "JAX's jitted step",
    ("numpy",): "NumPy", ("onnxruntime",): "onnxruntime", ("one-thread",): "one thread",
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """What a row is to reach: a ratio, gflops or share of at least `goal`, or at most so many seconds.

    against: the peers of a ratio, of which the best counts. note: the condition of a figure that has one.
    """

    quantity: Literal["ratio", "gflops", "share", "seconds"]
    goal: float
    against: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        text = {
            "ratio": f"{self.goal:g}x {NAMES.get(self.against, ', '.join(self.against))}",
            "gflops": f"{self.goal:g} GFLOP/s",
            "share": f"{self.goal:.0%} of peak",
            "seconds": f"at most {self.goal:g} s",
        }[self.quantity]
        return f"{text} ({self.note})" if self.note else text


@dataclass(frozen=True)
class Work:
    """One row. batch: rows of a step, or of one call of inference. batches: how many are preloaded."""

    id: str
    kind: Kind
    net: Net
    batch: int
    batches: int = 1
    figures: tuple[Figure, ...] = field(default=(), compare=False)

    @property
    def title(self) -> str:
        """What the tables call it."""
        if self.kind == "process":
            return PROCESSES[self.id]
        if self.kind == "predict":
            return f"{self.net.title}, {'one image' if self.batch == 1 else f'{self.batch:,} images'}"
        return f"{self.net.title}, batch {self.batch:,}"

    @property
    def multiply_adds(self) -> int:
        """Of a step: forward, weight gradient, and the input gradient of all layers but the first."""
        total, first = self.net.multiply_adds()
        return self.batch * (total if self.kind == "predict" else 3 * total - first)


def ratio(goal: float, against: tuple[str, ...], note: str = "") -> Figure:
    """Times the speed of the best of these peers."""
    return Figure("ratio", goal, against, note)


def _train(id: str, net: Net, rows: int, figures: dict[int, tuple[Figure, ...]]) -> list[Work]:
    """One work for each batch size; about so many rows are preloaded."""
    return [
        Work(f"{id}-{batch}", "train", net, batch, max(rows // batch, 4), goals) for batch, goals in figures.items()
    ]


PROCESSES = {
    "mnist-99": "MNIST to 99 % test accuracy, from process start",
    "first-step-warm": "first CNN step from process start, warm cache",
    "first-step-empty": "first CNN step from process start, empty cache",
    "memory": "peak memory of a CNN training",
}
_BOTH = (*PYTORCH, "jax")
_LATENCY = (ratio(1.0, ("onnxruntime",)),)
_SCALING = (ratio(1.85, ("one-thread",)),)
_TRAINED = (
    *_train("mlp", nets.MLP, 8192, {
        32: (ratio(2.0, _BOTH), ratio(4.0, EAGER), ratio(4.0, ("numpy",))),
        128: (ratio(1.6, _BOTH), Figure("share", 0.70)),
        1024: (ratio(1.15, _BOTH),),
    }),
    *_train("mlp-sigmoid", nets.MLP_SIGMOID, 8192, {32: (), 128: ()}),
    *_train("mlp-tiny", nets.MLP_TINY, 8192, {16: (ratio(20.0, EAGER), ratio(3.0, JITTED_STEP)), 10_000: ()}),
    *_train("lenet5", nets.LENET5, 2048, {32: (), 64: (ratio(5.0, PYTORCH), Figure("gflops", 120.0)), 1024: ()}),
    *_train("cnn", nets.CNN, 1024, {64: (ratio(3.0, PYTORCH),), 128: ()}),
    *_train("vgg", nets.VGG, 256, {
        64: (ratio(1.3, PYTORCH), ratio(1.6, PYTORCH, "with Winograd"), Figure("share", 0.75)),
    }),
    *_train("resnet", nets.RESNET, 256, {64: ()}),
)  # fmt: skip
_BF16 = {"mlp-32", "mlp-128", "mlp-1024", "cnn-64", "vgg-64", "resnet-64"}
WORKS: tuple[Work, ...] = (
    *_TRAINED,
    Work("predict-mlp-1", "predict", nets.MLP, 1, figures=_LATENCY),
    Work("predict-lenet5-1", "predict", nets.LENET5, 1, figures=_LATENCY),
    Work("predict-mlp-10000", "predict", nets.MLP, 10_000),
    Work("predict-lenet5-10000", "predict", nets.LENET5, 10_000),
    Work("predict-cnn-10000", "predict", nets.CNN, 10_000),
    Work("threads-cnn-64", "threads", nets.CNN, 64, 16, _SCALING),
    Work("threads-vgg-64", "threads", nets.VGG, 64, 4, _SCALING),
    *(Work(f"bf16-{w.id}", "precision", w.net, w.batch, w.batches) for w in _TRAINED if w.id in _BF16),
    Work("mnist-99", "process", nets.MNIST_CNN, 64, figures=(ratio(4.0, EAGER),)),
    Work("first-step-warm", "process", nets.CNN, 64, figures=(Figure("seconds", 1.0),)),
    Work("first-step-empty", "process", nets.CNN, 64, figures=(Figure("seconds", 12.0),)),
    Work("memory", "process", nets.CNN, 64, 16, (ratio(2.0, EAGER),)),
)  # fmt: skip
BY_ID = {work.id: work for work in WORKS}


def select(patterns: Iterable[str]) -> list[Work]:
    """The works whose id is a pattern, else fits it (mlp-*) or begins with it; all without one. Raises ValueError."""
    patterns = list(patterns)
    for pattern in patterns:
        if not any(_fits(work, pattern) for work in WORKS):
            raise ValueError(f"no work fits {pattern!r}: --list shows all {len(WORKS)}")
    return [work for work in WORKS if not patterns or any(_fits(work, pattern) for pattern in patterns)]


def _fits(work: Work, pattern: str) -> bool:
    if pattern in BY_ID:
        return work.id == pattern
    return work.id.startswith(pattern) or fnmatchcase(work.id, pattern)
