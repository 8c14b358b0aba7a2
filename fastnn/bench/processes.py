"""The rows that are whole processes, fastnn's and PyTorch's in turn: time to an accuracy, start, memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastnn.bench.child import SideError, environment
from fastnn.bench.peers import OURS, TITLES, Peer
from fastnn.bench.programs import ACCURACY
from fastnn.bench.rows import Measured, Row, make_row
from fastnn.bench.text import one_line
from fastnn.bench.workloads import Work

VARIANTS = ("contiguous", "channels_last")


class Processes:
    """Runs the programs. pytorch: whether that is there too. data_dir: where MNIST is."""

    def __init__(self, peers: list[Peer], threads: int, runs: int, pause: float, data_dir: Path | None) -> None:
        self._pytorch = any(peer.name == "pytorch" for peer in peers)
        self._threads, self._runs, self._pause, self._data_dir = threads, runs, pause, data_dir

    def measure(self, work: Work) -> Row:
        """The row of a work. Raises SideError when a program fails."""
        programs: dict[str, Callable[[str, int], tuple[float, Any]]] = {
            "mnist-99": self._mnist, "first-step-warm": self._warm, "first-step-empty": self._empty,
            "memory": self._memory,
        }  # fmt: skip
        once = programs[work.id]
        if work.id != "first-step-empty":
            once(OURS.name, 0)  # fills the cache of compiled kernels
            if self._pytorch:
                self._warm(VARIANTS[0], 0)  # and this the system's, of files
        ours: list[float] = []
        sides = [Measured("pytorch", variant, self._threads) for variant in VARIANTS] if self._pytorch else []
        found: dict[str, list[float]] = {}
        for number in range(self._runs):
            own, accuracy = once(OURS.name, number)
            ours.append(own)
            found.setdefault(OURS.name, []).append(accuracy)
            for side in sides:
                value, accuracy = once(side.variant, number)
                side.values.append(value)
                side.ratios.append(value / own)
                found.setdefault(f"{TITLES[side.peer]} {side.variant}", []).append(accuracy)
        extra: dict[str, Any] = {"unit": "bytes"} if work.id == "memory" else {}
        if work.id == "mnist-99":
            extra["notes"] = [_reached(name, values) for name, values in found.items()]
        row = make_row(work, ours, sides, **extra)
        if work.id == "mnist-99" and min(found[OURS.name]) < ACCURACY:
            for figure in row["figures"]:  # the time of a run that never got there reaches nothing
                figure["reached"] = False
        return row

    def _mnist(self, library: str, number: int) -> tuple[float, Any]:
        seconds, result = self._run("mnist-99", library, str(self._data_dir), str(number))
        return seconds, max(result["accuracies"])

    def _warm(self, library: str, number: int) -> tuple[float, Any]:
        return self._run("first-step", library)[0], None

    def _empty(self, library: str, number: int) -> tuple[float, Any]:
        with tempfile.TemporaryDirectory() as folder:
            return self._run("first-step", library, FASTNN_CACHE_DIR=folder)[0], None

    def _memory(self, library: str, number: int) -> tuple[float, Any]:
        return float(self._run("memory", library)[1]["bytes"]), None

    def _run(self, name: str, library: str, *arguments: str, **variables: str) -> tuple[float, Any]:
        """Seconds from the start of a process to its result, and that."""
        time.sleep(self._pause)
        command = [sys.executable, "-m", "fastnn.bench.programs", name, library, str(self._threads), *arguments]
        began = time.perf_counter()
        with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment(self._threads) | variables, text=True
        ) as process:  # fmt: skip
            assert process.stdout
            line = process.stdout.readline()
            seconds = time.perf_counter() - began
            process.wait()
            errors.seek(0)
            said = errors.read().strip().splitlines() or [f"ended with status {process.returncode}"]
        if not line:
            raise SideError(f"{library}: {one_line(said[-1])}")
        return seconds, json.loads(line)


def _reached(name: str, accuracies: list[float]) -> str:
    reached = sum(accuracy >= ACCURACY for accuracy in accuracies)
    return f"{name}: {ACCURACY:.0%} in {reached} of {len(accuracies)} runs, best epochs " + ", ".join(
        f"{accuracy:.2%}" for accuracy in accuracies
    )
