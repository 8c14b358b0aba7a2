"""How one row is measured: the results proven equal, then both sides in turn, round after round.

Worker threads of BLAS and OpenMP spin after their work (OpenBLAS's for 2^26 ticks: 106 ms on a Zen 4) and would halve
the speed of whoever comes next on two cores, and a machine's clock and neighbours change by the second. So each round
gives every side one short block, after a pause and a warm-up, and a row's ratio is the median of its rounds' ratios.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.bench.peak import Peak
from fastnn.layers._buffers import aligned

Array = np.ndarray
Side = Callable[[], object]
SAMPLES = 10  # of a block; its result is their median
TOLERANCE = 2e-5  # of float32 results, relative to the largest one: sums of up to 65,536 products
ROUNDED = 1e-2  # the same of bf16 beside float32


@dataclass(frozen=True)
class Effort:
    """Rounds, and seconds of the pause and the block of each side in a round."""

    rounds: int
    pause: float
    block: float


FULL, SWEEP, ONCE = Effort(7, 0.15, 0.03), Effort(3, 0.15, 0.02), Effort(1, 0.0, 0.0)


class Call:
    """One operation with its arguments, the last `outputs` of them results, `updated` of which it also reads.

    scratch: the place of the scratch array among the arguments, which is no traffic of the operation's own.
    """

    def __init__(
        self, operation: str, *arguments: Any, outputs: int = 1, updated: int = 0, scratch: int | None = None
    ) -> None:
        self.operation, self.arguments, self.outputs, self.scratch = operation, arguments, outputs, scratch
        arrays = [a for place, a in enumerate(arguments) if isinstance(a, Array) and place != scratch]
        self.bytes = sum(a.nbytes for a in arrays)
        self.updated_bytes = sum(a.nbytes for a in arrays[len(arrays) - updated :])

    def on(self, operations: Any) -> tuple[Side, list[Array]]:
        """The call on copies of its arrays, with the operations of one backend; and the results."""
        function = getattr(operations, self.operation)
        arguments = [_aligned(a) if isinstance(a, Array) else a for a in self.arguments]  # as layers have them
        return lambda: function(*arguments), arguments[-self.outputs :]

    def copy(self) -> Side:
        """A plain copy of as much memory, half of it to the other half; and back for what the operation updates."""
        source = _aligned(np.ones(self.bytes // 2, np.uint8))
        to, back = _aligned(source), self.updated_bytes // 2

        def side() -> None:
            np.copyto(to, source)
            if back:
                np.copyto(source[:back], to[:back])

        return side


def _aligned(array: Array) -> Array:
    copy = aligned(array.shape, array.dtype)
    copy[...] = array
    return copy


def equal(results: list[Array], expected: list[Array], tolerance: float = TOLERANCE) -> None:
    """Raise AssertionError unless the results of the two sides are equal up to rounding."""
    for actual, wanted in zip(results, expected, strict=True):
        if wanted.size:
            np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance * float(np.abs(wanted).max()))


def seconds_per_call(side: Side, effort: Effort) -> float:
    """Seconds of one call: the median over one block, after a pause and a warm-up."""
    time.sleep(effort.pause)
    once = _timed(side, 1)
    if once < effort.block:  # the first call woke threads and filled caches: go on until the clock is up
        once = _timed(side, max(1, int(effort.block / SAMPLES / once)))
    samples = max(1, min(SAMPLES, int(effort.block / once)))
    calls = max(1, int(effort.block / samples / once))
    return statistics.median(_timed(side, calls) for _ in range(samples))


def _timed(side: Side, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        side()
    return (time.perf_counter() - began) / calls


class Pairs:
    """The rounds of one row, and what they say."""

    def __init__(self, ours: Side, theirs: Side | None, effort: Effort, copy: Side | None = None) -> None:
        self.sides = {name: side for name, side in (("theirs", theirs), ("copy", copy), ("ours", ours)) if side}
        self.effort = effort
        self.peak: Peak | None = None
        self.multiply_adds = 0
        self.rounds: list[dict[str, float]] = []

    def against_peak(self, peak: Peak, multiply_adds: int) -> None:
        """Measure the FMA peak in each round too, right after our own block."""
        self.peak, self.multiply_adds = peak, multiply_adds

    def round(self) -> None:
        """Measure each side once."""
        row = {name: seconds_per_call(side, self.effort) for name, side in self.sides.items()}
        if self.peak:
            row["peak"] = self.peak.gflops(self.effort.block / 3)
            row["gflops"] = 2 * self.multiply_adds / row["ours"] / 1e9
            row["share"] = row["gflops"] / row["peak"]
        if "theirs" in row:
            row["ratio"] = row["theirs"] / row["ours"]
            row["extra"] = row["ours"] - row["theirs"]
        if "copy" in row:
            row["copy_ratio"] = row["ours"] / row["copy"]
        self.rounds.append(row)

    def medians(self) -> dict[str, float]:
        """Return the median over the rounds of each measured value: ours, theirs, ... in seconds, ratio, share, ..."""
        return {name: statistics.median(row[name] for row in self.rounds) for name in self.rounds[0]}
