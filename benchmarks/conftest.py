"""The fixtures of the benchmarks, and what the JSON says about the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn import kernels, reference
from fastnn._system import describe
from fastnn.bench.peak import Peak

from .pairs import FULL, ONCE, ROUNDED, Call, Effort, Pairs, Side, equal
from .shapes import Figures


class Compare:
    """Proves that both backends agree, measures them in pairs, and notes the row for the table."""

    def __init__(self, benchmark: Any, peak: Callable[[], Peak]) -> None:
        self.benchmark = benchmark
        self.once: bool = not benchmark.enabled  # --benchmark-disable: run the body, measure nothing
        self._peak = peak

    def calls(
        self,
        call: Call,
        shape: object,
        figures: Figures,
        *,
        label: str = "",
        multiply_adds: int = 0,
        copy: bool = False,
        effort: Effort = FULL,
    ) -> None:
        """One operation on both backends; with multiply_adds beside the FMA peak, with copy beside a plain copy."""
        (ours, results), (theirs, expected) = call.on(kernels), call.on(reference)
        ours()
        theirs()
        equal(results, expected)
        pairs = Pairs(ours, theirs, ONCE if self.once else effort, call.copy() if copy else None)
        if multiply_adds:
            pairs.against_peak(self._peak(), multiply_adds)
        self.run(pairs, ours, label or call.operation, shape, figures)

    def beside_full(self, call: Call, operations: Any, shape: object, figures: Figures) -> None:
        """One operation of a module of rounded products, beside that of float32."""
        (ours, results), (theirs, expected) = call.on(operations), call.on(kernels)
        ours()
        theirs()
        equal(results, expected, ROUNDED)
        pairs = Pairs(ours, theirs, ONCE if self.once else FULL)
        self.benchmark.pedantic(ours, setup=pairs.round, rounds=pairs.effort.rounds)
        medians = pairs.medians()
        measured = {"ours": medians["ours"], "full": medians["theirs"], "full_ratio": medians["ratio"]}
        self.note(call.operation, shape, figures, measured)

    def run(self, pairs: Pairs, ours: Side, operation: str, shape: object, figures: Figures) -> None:
        """Measure the pairs. The benchmark's own statistics are those of one more call of our side a round."""
        self.benchmark.pedantic(ours, setup=pairs.round, rounds=pairs.effort.rounds)
        self.note(operation, shape, figures, pairs.medians())

    def note(self, operation: str, shape: object, figures: Figures, measured: dict[str, Any]) -> None:
        """Write the row into the JSON."""
        goals = {name: goal for name, goal in vars(figures).items() if goal}
        self.benchmark.extra_info.update(operation=operation, shape=str(shape), **measured, **goals)


@pytest.fixture(scope="session")
def peak() -> Callable[[], Peak]:
    """Returns the measurement of the FMA peak, compiled when the first row wants it."""
    made: list[Peak] = []

    def get() -> Peak:
        if not made:
            made.append(Peak())
        return made[0]

    return get


@pytest.fixture
def compare(benchmark: Any, peak: Callable[[], Peak]) -> Compare:
    """What a benchmark hands its two sides to."""
    return Compare(benchmark, peak)


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    """Leave out the host's name and its folders; name versions, instruction set and threads."""
    machine_info.pop("node", None)
    system = describe()
    system.pop("cache folder")
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index, call-overload, unused-ignore]
    threads = {name: os.environ[name] for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS") if name in os.environ}
    machine_info["fastnn"] = {
        **system, "numpy": np.__version__, "blas": f"{blas['name']} {blas['version']}", **threads,
        "cpus": os.cpu_count(),
    }  # fmt: skip


def pytest_benchmark_update_commit_info(config: Any, commit_info: dict[str, Any]) -> None:
    """Leave out the name of the project's folder."""
    commit_info.pop("project", None)
