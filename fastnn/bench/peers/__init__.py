"""The libraries beside fastnn: which there are, what each of them can run, and in which variants.

A module of this package makes the sides of one library and imports it; this one, which the command line reads,
imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from fastnn.bench.nets import Act, Conv, Dense
from fastnn.bench.workloads import Work


class Unavailable(Exception):
    """This library cannot run here; the message says why, without paths."""


class Side(Protocol):
    """One work in one variant of one library, with its weights and data in place."""

    def losses(self, steps: int) -> list[float]:
        """The loss before each of so many steps at `check_rate`, all on the first batch; later steps use RATE."""

    def outputs(self) -> list[list[float]]:
        """Some rows of the probabilities that inference gives, see `checked_rows`."""

    def run(self, passes: int) -> None:
        """So many passes over all the data, finished when this returns."""


@dataclass(frozen=True)
class Peer:
    """A library. packages: distributions it needs. threads: the counts it is tried with."""

    name: str
    module: str
    packages: tuple[str, ...]
    variants: Callable[[Work], tuple[str, ...]]
    threads: Literal["all", "both", "one"] = "all"

    def missing(self) -> str:
        """Which packages are not installed, in words; nothing where all are."""
        names = ", ".join(name for name in self.packages if installed(name) is None)
        return names and f"not installed: {names}"

    def counts(self, threads: int, work: Work, variant: str) -> list[int]:
        """The numbers of threads to try."""
        if self.threads == "both" and not (variant.startswith("compiled") and _has(work, Conv)):
            return sorted({threads, 1}, reverse=True)
        return [1 if self.threads == "one" else threads]


def installed(package: str) -> str | None:
    """The version of an installed distribution."""
    from importlib.metadata import PackageNotFoundError, version  # 20 ms that the whole processes need not wait for

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _has(work: Work, kind: type) -> bool:
    return any(isinstance(part, kind) for part, _ in work.net.steps())


def _chunks(work: Work, *variants: str) -> tuple[str, ...]:
    """Each variant with its ways of taking many rows."""
    if work.batch == 1:
        return variants
    return tuple(f"{variant}, {size} at once" for variant in variants for size in ("256", "1024"))


def _measured(work: Work) -> tuple[str, ...]:
    return ("",) if work.kind in ("train", "predict") else ()


def _one_thread(work: Work) -> tuple[str, ...]:
    return ("",) if work.kind == "threads" else ()


def _float32(work: Work) -> tuple[str, ...]:
    return ("",) if work.kind == "precision" else ()


def _pytorch(work: Work) -> tuple[str, ...]:
    layouts = ("contiguous", "channels_last") if _has(work, Conv) else ("eager",)
    if work.kind == "predict":
        return _chunks(work, *layouts)
    return layouts if work.kind == "train" else ()


def _torch_compile(work: Work) -> tuple[str, ...]:
    if work.kind != "train":
        return ()
    return ("compiled, channels_last",) if _has(work, Conv) else ("compiled",)


def _jax(work: Work) -> tuple[str, ...]:
    if work.kind == "predict":
        return _chunks(work, "jitted")
    if work.kind != "train":
        return ()
    # XLA runs convolutions inside of a loop on one slow path: VGG 7,200 ms a step by scan, 194 ms by steps, and the
    # proof and a block of it took two minutes (fastnn bench --quick --work vgg, 2 threads of an EPYC).
    return ("step",) if work.multiply_adds > _SCAN_LIMIT else ("step", "scan")


def _sklearn(work: Work) -> tuple[str, ...]:
    parts = work.net.parts
    known = all(isinstance(part, Dense | Act) for part in parts)
    return ("MLPClassifier",) if known and work.kind in ("train", "predict") else ()


def _onnxruntime(work: Work) -> tuple[str, ...]:
    return _chunks(work, "session") if work.kind == "predict" else ()


_SCAN_LIMIT = 2e9  # multiply-adds of a step; CNN at batch 128 has 1.5e9
OURS = Peer("fastnn", "own", (), lambda work: ("",))
ONE_THREAD = Peer("one-thread", "own", (), _one_thread, "one")
FLOAT32 = Peer("float32", "own", (), _float32)
PEERS = (
    Peer("numpy", "own", (), _measured),
    Peer("pytorch", "pytorch", ("torch",), _pytorch, "both"),
    Peer("torch-compile", "pytorch", ("torch",), _torch_compile, "both"),
    Peer("jax", "jax", ("jax",), _jax),
    Peer("sklearn", "sklearn", ("scikit-learn",), _sklearn),
    Peer("onnxruntime", "onnxruntime", ("onnx", "onnxruntime"), _onnxruntime, "both"),
)
BY_NAME = {peer.name: peer for peer in (OURS, ONE_THREAD, FLOAT32, *PEERS)}
TITLES = {
    "fastnn": "fastnn", "one-thread": "one thread", "float32": "float32", "numpy": "NumPy", "pytorch": "PyTorch",
    "torch-compile": "torch.compile", "jax": "JAX", "sklearn": "scikit-learn", "onnxruntime": "onnxruntime",
}  # fmt: skip


def chunk(work: Work, variant: str) -> int:
    """How many rows a variant of inference takes at once."""
    return min(work.batch, int(variant.split(", ")[-1].split()[0]) if "at once" in variant else work.batch)
