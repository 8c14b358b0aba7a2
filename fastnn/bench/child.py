"""A process that holds the sides of one library at one number of threads, and runs blocks when it is told to.

Started as `python -m fastnn.bench.child PEER THREADS`; requests and answers are lines of JSON on stdin and stdout.
Between two requests it waits for its stdin, so that only one library of the comparison runs at any time.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import fastnn
from fastnn.bench.inputs import CHECKED_STEPS
from fastnn.bench.peers import BY_NAME, Peer, Side, Unavailable
from fastnn.bench.text import one_line
from fastnn.bench.workloads import BY_ID, Work

Json = dict[str, Any]
_LONG_PASS = 2.0  # seconds: such a one is not repeated for the sake of an estimate; every block corrects it


class SideError(RuntimeError):
    """A side failed, or gave other results than ours."""


def environment(threads: int) -> dict[str, str]:
    """The variables of a child: this very fastnn, compiled once by Python as all libraries are, and one number of
    threads for every library that asks for it."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    path = [str(Path(fastnn.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **dict.fromkeys(names, str(threads)), "PYTHONPATH": os.pathsep.join(filter(None, path))}


class Child:
    """The parent's end."""

    def __init__(self, peer: Peer, threads: int) -> None:
        self._name = peer.name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fastnn.bench.child", peer.name, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(threads),
            text=True,
        )  # fmt: skip
        assert self._process.stdin
        assert self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout

    def ask(self, do: str, **request: Any) -> Any:
        """The answer to a request. Raises Unavailable where the library cannot, SideError where it failed."""
        try:
            self._requests.write(json.dumps({"do": do, **request}) + "\n")
            self._requests.flush()
            line = self._answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SideError(f"{self._name}: its process ended with status {self._process.wait()}")
        answer = json.loads(line)
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        if "error" in answer:
            raise SideError(f"{self._name}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):  # it has ended by itself
            self._requests.close()
        self._answers.close()
        self._process.wait()


class Holder:
    """The child's end: its sides by a key that the parent chose."""

    def __init__(self, peer: str, threads: int) -> None:
        self._peer, self._threads = peer, threads
        self._sides: dict[str, tuple[Work, Side, float]] = {}
        self._peak: Any = None

    def answer(self, request: Json) -> Json:
        """What a request gives, or why it does not."""
        try:
            return {"result": getattr(self, f"do_{request.pop('do')}")(**request)}
        except Unavailable as error:
            return {"unavailable": str(error)}
        except ImportError as error:
            return {"unavailable": f"cannot be imported ({type(error).__name__}: {error.name})"}
        except Exception as error:  # whatever a library raises, the parent reports in one line
            return {"error": f"{type(error).__name__}: {one_line(str(error))}"}

    def do_load(self, key: str, work: str, variant: str) -> list[float] | list[list[float]]:
        """Make a side, and return what has to agree: its first losses, or its outputs."""
        module = import_module(f"fastnn.bench.peers.{BY_NAME[self._peer].module}")
        chosen = BY_ID[work]
        side: Side = module.make(self._peer, chosen, variant, self._threads)
        proof = side.outputs() if chosen.kind == "predict" else side.losses(CHECKED_STEPS)
        estimate = self._time(side, 1)  # compiles what is not compiled yet
        if estimate < _LONG_PASS:
            estimate = self._time(side, 1)
        self._sides[key] = chosen, side, estimate
        return proof

    def do_drop(self) -> None:
        """Forget all sides."""
        self._sides.clear()

    def do_block(self, key: str, seconds: float) -> float:
        """Seconds of one step, or of one call of inference: the mean over a block of about so many seconds."""
        work, side, estimate = self._sides[key]
        if estimate < seconds:
            estimate = self._time(side, 1)  # wakes threads and caches; a long pass is its own warm-up
        passes = max(1, math.ceil(seconds / estimate))
        estimate = self._time(side, passes)
        self._sides[key] = work, side, estimate
        return estimate / work.batches

    def do_peak(self, seconds: float) -> float:
        """The FMA peak of this moment in GFLOP/s."""
        if self._peak is None:
            from fastnn.bench.peak import Peak

            self._peak = Peak()
        return float(self._peak.gflops(seconds))

    def do_describe(self) -> dict[str, str]:
        """The machine, without names of folders."""
        from fastnn._system import describe

        elsewhere = ("fastnn", "python", "numba", "cache folder")
        return {name: value for name, value in describe().items() if name not in elsewhere}

    @staticmethod
    def _time(side: Side, passes: int) -> float:
        began = time.perf_counter()
        side.run(passes)
        return (time.perf_counter() - began) / passes


def main() -> None:
    """Answer requests until stdin ends. What a library prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    holder = Holder(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        answers.write(json.dumps(holder.answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
