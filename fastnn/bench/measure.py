"""The turns of the sides: each in a child process of its own, one block at a time, ours before every peer.

Pools of threads spin for some milliseconds after their work, and a machine's clock and neighbours change by the
second. So every turn begins with a pause, and a ratio is the median over rounds of a peer's time by the time of ours
right before it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastnn.bench.child import Child, SideError
from fastnn.bench.peers import FLOAT32, ONE_THREAD, OURS, TITLES, Peer, Unavailable
from fastnn.bench.rows import Measured, Row, make_row
from fastnn.bench.workloads import Work

TOLERANCE = 1e-4  # of losses after float32 steps, and of probabilities, relative to the largest
ROUNDED = 2e-2  # the same beside bf16
GIVEN_UP = 2.0  # a variant that much slower than its peer's best in the first round gets no other round


@dataclass(frozen=True)
class Effort:
    """Rounds; seconds of the pause before a turn and of a block; runs of a whole process."""

    rounds: int
    pause: float
    block: float
    runs: int


FULL, QUICK = Effort(5, 0.3, 0.2, 3), Effort(2, 0.1, 0.05, 1)


@dataclass
class Entry:
    """A side that is ready in its child process."""

    child: Child
    key: str
    measured: Measured
    given_up: bool = False

    def block(self, effort: Effort) -> float:
        """One turn."""
        time.sleep(effort.pause)
        return float(self.child.ask("block", key=self.key, seconds=effort.block))


def agree(peer: str, found: Sequence[Any], wanted: Sequence[Any], tolerance: float = TOLERANCE) -> None:
    """Raise SideError unless losses, or rows of probabilities, are equal up to rounding."""
    a, b = _flat(found), _flat(wanted)
    largest = max(map(abs, b))
    if len(a) != len(b) or any(not abs(x - y) <= tolerance * largest for x, y in zip(a, b, strict=True)):
        numbers = ("[" + ", ".join(f"{x:.6g}" for x in values[:4]) + "]" for values in (a, b))
        raise SideError(f"{peer}: its results {next(numbers)} are not ours, {next(numbers)}")


def _flat(values: Sequence[Any]) -> list[float]:
    return [x for value in values for x in (_flat(value) if isinstance(value, list) else [float(value)])]


class Bench:
    """Keeps the child processes of a whole run. Use it in a `with` block."""

    def __init__(self, peers: Sequence[Peer], threads: int, effort: Effort, say: Callable[[str], None]) -> None:
        self._peers, self.threads, self.effort, self._say = peers, threads, effort, say
        self.left_out: dict[str, str] = {}
        self._children: dict[tuple[str, int], Child] = {}
        for peer in peers:
            if missing := peer.missing():
                self._leave_out(peer.name, missing)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *error: object) -> None:
        for child in self._children.values():
            child.close()

    @property
    def peers(self) -> list[Peer]:
        """Those that run here, as far as is known."""
        return [peer for peer in self._peers if peer.name not in self.left_out]

    def describe(self) -> dict[str, str]:
        """The machine as fastnn sees it."""
        machine: dict[str, str] = self._child(OURS, self.threads).ask("describe")
        return machine

    def measure(self, work: Work) -> Row:
        """The row of a work. Raises SideError when a side fails or disagrees."""
        try:
            ours, *others = self._load(work)
            row = self._rounds(work, ours, others)
        except SideError:
            self._forget()
            raise
        for child in self._children.values():
            child.ask("drop")
        return row

    def _load(self, work: Work) -> list[Entry]:
        own = self._child(OURS, self.threads)
        entries = [Entry(own, "", Measured(OURS.name, "", self.threads))]
        wanted = own.ask("load", key="", work=work.id, variant="")
        for peer in (*self.peers, ONE_THREAD, FLOAT32):
            try:
                for variant in peer.variants(work):
                    for threads in peer.counts(self.threads, work, variant):
                        child = self._child(peer, threads)
                        key = f"{variant} {threads}"
                        found = child.ask("load", key=key, work=work.id, variant=variant)
                        agree(TITLES[peer.name], found, wanted, ROUNDED if work.kind == "precision" else TOLERANCE)
                        entries.append(Entry(child, key, Measured(peer.name, variant, threads)))
            except Unavailable as reason:
                self._leave_out(peer.name, str(reason))
                entries = [entry for entry in entries if entry.measured.peer != peer.name]
        return entries

    def _rounds(self, work: Work, ours: Entry, others: list[Entry]) -> Row:
        peaks, shares = [], []
        for number in range(self.effort.rounds):
            names = dict.fromkeys(entry.measured.peer for entry in others)
            for place, name in enumerate(names or [""]):
                own = ours.block(self.effort)
                ours.measured.values.append(own)
                if place == 0:
                    peaks.append(float(ours.child.ask("peak", seconds=self.effort.block / 5)))
                    shares.append(2e-9 * work.multiply_adds / own / peaks[-1])
                turns = [entry for entry in others if entry.measured.peer == name and not entry.given_up]
                for entry in turns:
                    entry.measured.values.append(entry.block(self.effort))
                    entry.measured.ratios.append(entry.measured.values[-1] / own)
                if number == 0 and turns:
                    limit = GIVEN_UP * min(entry.measured.values[0] for entry in turns)
                    for entry in turns:
                        entry.given_up = entry.measured.values[0] > limit
        median = statistics.median(ours.measured.values)
        return make_row(
            work, ours.measured.values, [entry.measured for entry in others],
            gflops=2e-9 * work.multiply_adds / median, peak=statistics.median(peaks), share=statistics.median(shares),
        )  # fmt: skip

    def _child(self, peer: Peer, threads: int) -> Child:
        if (peer.name, threads) not in self._children:
            self._children[peer.name, threads] = Child(peer, threads)
        return self._children[peer.name, threads]

    def _forget(self) -> None:
        """After a failure, start from new processes: who knows what state the present ones are in."""
        for child in self._children.values():
            child.close()
        self._children.clear()

    def _leave_out(self, name: str, reason: str) -> None:
        self.left_out[name] = reason
        self._say(f"without {TITLES[name]}: {reason}")
