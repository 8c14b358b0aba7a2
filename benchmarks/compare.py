"""What got slower between two runs: `python -m benchmarks.compare OLD.json NEW.json`.

Reads the files of pytest-benchmark (`make bench`) and of `fastnn bench`. A row is judged by its ratios to the other
libraries and to NumPy, measured in its own run, never by its times: those change with the machine's mood. Exit status 1
if a row lost more than a tenth, 2 for files that cannot be compared.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

LOSS = 0.10  # of the ratio; rows of a shared machine vary by some percent from run to run
Ratios = dict[str, dict[str, float]]  # by row, by peer


class Unusable(Exception):
    """A file that is no run, in one line."""


def read(path: Path) -> tuple[str, Ratios]:
    """The kind of a run, and the ratios of its rows."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
    except ValueError as error:  # UnicodeDecodeError too
        raise Unusable(f"{path}: no JSON") from error
    try:
        if "benchmarks" in run:
            return "pytest-benchmark", _pytest(run)
        if str(run.get("format", "")).startswith("fastnn-bench-"):
            return "fastnn bench", _bench(run)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unusable(f"{path}: a damaged row ({type(error).__name__}: {error})") from error
    raise Unusable(f"{path}: neither of pytest-benchmark nor of fastnn bench")


def _pytest(run: dict[str, Any]) -> Ratios:
    rows = {row["fullname"]: row["extra_info"] for row in run["benchmarks"]}
    return {name: {"NumPy": float(row["ratio"])} for name, row in rows.items() if "ratio" in row}


def _bench(run: dict[str, Any]) -> Ratios:
    rows = {
        row["id"]: {name: float(peer["ratio"]["median"]) for name, peer in row["peers"].items()} for row in run["rows"]
    }
    return {name: peers for name, peers in rows.items() if peers}


def slower(old: Ratios, new: Ratios) -> list[str]:
    """A line for each row that lost more than LOSS: the median over the peers that both runs have.

    So a row counts when most of its peers say so, and not when one of them got faster.
    """
    lines = []
    for name in old.keys() & new.keys():
        peers = [peer for peer in old[name] if peer in new[name]]
        if not peers:
            continue
        change = statistics.median(new[name][peer] / old[name][peer] for peer in peers)
        if change < 1 - LOSS:
            ratios = ", ".join(f"{peer} {old[name][peer]:.2f} -> {new[name][peer]:.2f}" for peer in peers)
            lines.append(f"{change - 1:+.0%} {name}: {ratios}")
    return sorted(lines, key=lambda line: int(line.split("%")[0]))


def main(arguments: list[str]) -> int:
    """Print the comparison; returns the exit status."""
    if len(arguments) != 2:
        print("usage: python -m benchmarks.compare OLD.json NEW.json", file=sys.stderr)
        return 2
    try:
        (kind, old), (other, new) = (read(Path(argument)) for argument in arguments)
        if kind != other:
            raise Unusable(f"{arguments[0]} is of {kind}, {arguments[1]} of {other}")
        if not old.keys() & new.keys():
            raise Unusable(f"{arguments[0]} and {arguments[1]} have no row in common")
    except Unusable as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    lines = slower(old, new)
    alone = len(old.keys() ^ new.keys())
    rest = f", {alone} in one run only" if alone else ""
    print(f"{len(old.keys() & new.keys())} rows compared{rest}; slower by more than {LOSS:.0%}: {len(lines)}")
    print("".join(f"{line}\n" for line in lines), end="")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
