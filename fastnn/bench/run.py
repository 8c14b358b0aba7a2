"""A whole run: every work in turn, collected in one document, the content of bench.json."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fastnn import __version__
from fastnn.bench.child import SideError
from fastnn.bench.measure import Bench, Effort
from fastnn.bench.peers import TITLES, Peer, installed
from fastnn.bench.processes import Processes
from fastnn.bench.rows import Row
from fastnn.bench.text import amount, one_line
from fastnn.bench.workloads import Work

FORMAT = "fastnn-bench-1"
Document = dict[str, Any]


def cpus() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    works: Sequence[Work],
    peers: Sequence[Peer],
    threads: int,
    effort: Effort,
    data_dir: Path | None = None,
    say: Callable[[str], None] = print,
    keep: Callable[[Document], None] = lambda document: None,
) -> Document:
    """Measure the works. say: one line of progress; keep: called after every row with all there is so far.

    A side that fails or disagrees makes no row: its work is named in the document's "errors".
    """
    with Bench(peers, threads, effort, say) as bench:
        document = _empty(bench, threads, effort, peers)
        for work in works:
            if reason := _left_out(work, threads, data_dir, document["machine"].get("features", "")):
                bench.left_out[work.id] = reason
                say(f"without {work.id}: {reason}")
            else:
                try:
                    row = _measure(bench, work, data_dir)
                    document["rows"].append(row)
                    say(_line(row))
                except SideError as error:
                    document["errors"].append({"id": work.id, "message": one_line(str(error))})
                    say(f"{work.id}: error: {error}")
            document["left_out"] = dict(bench.left_out)
            keep(document)
    return document


def _empty(bench: Bench, threads: int, effort: Effort, peers: Sequence[Peer]) -> Document:
    packages = ["numpy", "numba", *(name for peer in bench.peers for name in peer.packages)]
    return {
        "format": FORMAT,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "settings": {"threads": threads, "peers": [peer.name for peer in peers], **asdict(effort)},
        "machine": {"system": f"{platform.system()} {platform.machine()}", "cpus": cpus(), **bench.describe()},
        "versions": {
            "fastnn": __version__, "python": platform.python_version(),
            **{name: installed(name) for name in dict.fromkeys(packages)},
        },
        "left_out": dict(bench.left_out),
        "rows": [],
        "errors": [],
    }  # fmt: skip


def _left_out(work: Work, threads: int, data_dir: Path | None, features: str) -> str:
    if work.kind == "threads" and threads == 1:
        return "it needs two threads"
    if work.kind == "precision" and "avx512bf16" not in features.split():
        return "it needs a CPU with AVX512_BF16"
    if work.id == "mnist-99" and data_dir is None:
        return "neither --data-dir nor FASTNN_DATA names the folder of MNIST"
    return ""


def _measure(bench: Bench, work: Work, data_dir: Path | None) -> Row:
    if work.kind != "process":
        return bench.measure(work)
    effort = bench.effort
    return Processes(bench.peers, bench.threads, effort.runs, effort.pause, data_dir).measure(work)


def _line(row: Row) -> str:
    text = f"{row['id']}: {amount(row['ours']['median'], row['unit'])}"
    return f"{text}, {row['ratio']:.2f} x {TITLES[row['best']]}" if "best" in row else text
