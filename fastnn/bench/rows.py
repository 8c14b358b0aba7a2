"""From measured numbers to a row: medians, the best peer, and which figures are reached."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastnn.bench.workloads import Figure, Work

Row = dict[str, Any]


@dataclass
class Measured:
    """What one side took in its rounds; ratios: its value / ours of the same round."""

    peer: str
    variant: str
    threads: int
    values: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The variant in words."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.variant}, {threads}" if self.variant else threads


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {"median": median, "q1": q1, "q3": q3}


def best(sides: Sequence[Measured]) -> Measured:
    """The side with the smallest median; of one that was given up after a round there is only that round."""
    return min(sides, key=lambda side: statistics.median(side.values))


def make_row(work: Work, ours: Sequence[float], sides: Sequence[Measured], **extra: Any) -> Row:
    """The row of a work: ours, every peer with its best variant and all of them, ratio, figures.

    extra: gflops, peak, share; unit ("bytes" instead of seconds); notes.
    """
    peers: dict[str, Row] = {}
    for name in dict.fromkeys(side.peer for side in sides):
        group = [side for side in sides if side.peer == name]
        fastest = best(group)
        variants = {
            side.label: {**spread(side.values), "ratio": spread(side.ratios), "rounds": len(side.values)}
            for side in group
        }
        peers[name] = {
            "variant": fastest.label, **spread(fastest.values), "ratio": spread(fastest.ratios), "variants": variants,
        }  # fmt: skip
    row: Row = {"id": work.id, "kind": work.kind, "title": work.title, "unit": "seconds", **extra}
    row |= {"ours": spread(ours), "peers": peers}
    if sides:
        fastest = best(sides)
        row |= {"best": fastest.peer, "ratio": statistics.median(fastest.ratios)}
    row["figures"] = [judge(figure, row, sides) for figure in work.figures]
    return row


def judge(figure: Figure, row: Row, sides: Sequence[Measured]) -> Row:
    """The figure with what was measured, and whether that reaches it; None for both where it was not measured."""
    value: float | None
    if figure.quantity == "ratio":
        rivals = [side for side in sides if {side.peer, f"{side.peer}/{side.variant}"} & set(figure.against)]
        value = statistics.median(best(rivals).ratios) if rivals else None
    elif figure.quantity == "seconds":
        value = row["ours"]["median"]
    else:
        value = row.get(figure.quantity)
    at_most = figure.quantity == "seconds"
    reached = None if value is None else (value <= figure.goal if at_most else value >= figure.goal)
    return {"text": str(figure), "quantity": figure.quantity, "goal": figure.goal, "value": value, "reached": reached}
