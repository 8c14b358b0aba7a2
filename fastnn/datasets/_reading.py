"""Many image files into one array.

Small files cost Python's time, not the decoder's: two threads read 60,000 PNG files of 28x28 pixels no faster than one,
two processes in half the time (`python -m pytest benchmarks/test_images.py`). The workers are plain child processes
that answer through pipes, so a script needs no `if __name__ == "__main__"`, and nothing but an array comes back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.datasets._form import Form, SampleShape
from fastnn.datasets.images import Pixels, read_image
from fastnn.errors import DataError, ImageError

_CHUNK_FILES, _CHUNK_BYTES = 256, 1 << 22
_WORTH = 0.6  # seconds that the rest will take from which workers are faster: they need 0.2 s to start
_CODE = "import sys; sys.path[:] = {}; from fastnn.datasets._reading import serve; serve({!r})"
_WHITE = np.float32(255)


def read_images(
    files: list[str], shape: SampleShape, form: Form, out: npt.NDArray[np.float32], *, exact: bool = False
) -> dict[int, str]:
    """Read files into out (N, H, W, C), values in 0..1; returns the reason for each row that could not be read.

    exact: raise DataError for the first image of another size, instead of resizing it.
    """
    failures: dict[int, str] = {}
    step = int(np.clip(_CHUNK_BYTES // shape.size, 1, _CHUNK_FILES))
    starts = iter(range(0, len(files), step))  # whoever reads takes the next chunk

    def read_here(start: int) -> None:
        for row, file in enumerate(files[start : start + step], start):
            try:
                np.divide(read_image(file, shape, form, exact=exact), _WHITE, out=out[row])
            except ImageError as error:
                failures[row] = str(error)

    def follow(worker: subprocess.Popen[bytes], started: Callable[[], None]) -> None:
        assert worker.stdout is not None
        worker.stdout.readline()
        started()
        for start in starts:
            pixels, reasons = _ask(worker, files[start : start + step], shape)
            np.divide(pixels, _WHITE, out=out[start : start + len(pixels)])
            failures.update({start + row: reason for row, reason in reasons.items()})

    began, workers = time.perf_counter(), _cores() if sys.executable else 1
    for start in starts:
        read_here(start)
        seconds, done = time.perf_counter() - began, start + step
        if workers > 1 and seconds / done * (len(files) - done) > _WORTH:
            break
    else:
        return failures
    job = {"shape": shape.axes, "form": form.metadata(), "exact": exact}
    waiting = [None] * workers
    with _processes(workers, job) as processes, ThreadPoolExecutor(workers) as threads:
        try:
            followers = [threads.submit(follow, process, waiting.pop) for process in processes]
            while waiting and (here := next(starts, None)) is not None:
                read_here(here)
            for finished in followers:
                finished.result()
        finally:
            deque(starts, maxlen=0)  # nothing is left to do for the others when one fails
    return dict(sorted(failures.items()))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _processes(count: int, job: dict[str, Any]) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-c", _CODE.format(sys.path, json.dumps(job))]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            processes.append(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            )
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _ask(worker: subprocess.Popen[bytes], files: list[str], shape: SampleShape) -> tuple[Pixels, dict[int, str]]:
    """The samples uint8 (N, H, W, C) of files, and the reason for each row that could not be read."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(json.dumps(files).encode() + b"\n")
        worker.stdin.flush()
        answer = json.loads(worker.stdout.readline() or b"{}")
    except BrokenPipeError:
        answer = {}
    if "error" in answer:
        raise DataError(answer["error"])
    content = worker.stdout.read(len(files) * shape.size)
    if len(content) < len(files) * shape.size:
        raise RuntimeError(f"datasets: a process that reads images ended with status {worker.wait()}")
    pixels = np.frombuffer(content, np.uint8).reshape(len(files), *shape.axes)
    return pixels, {int(row): reason for row, reason in answer["failures"].items()}


def serve(job: str) -> None:
    """A worker: reads a list of files from each line of stdin, writes the reasons and the samples to stdout."""
    warnings.simplefilter("ignore")  # a damaged file is reported, whatever else its decoder says
    settings = json.loads(job)
    shape, form = SampleShape(*settings["shape"]), Form.from_metadata(settings["form"])
    answers, nothing = sys.stdout.buffer, bytes(shape.size)
    answers.write(b"started\n")
    answers.flush()
    for line in sys.stdin.buffer:
        samples, failures = [], {}
        try:
            for row, file in enumerate(json.loads(line)):
                try:
                    samples.append(read_image(file, shape, form, exact=settings["exact"]).data)
                except ImageError as error:
                    samples.append(memoryview(nothing))
                    failures[row] = str(error)
        except DataError as error:
            answers.write(json.dumps({"error": str(error)}).encode() + b"\n")
        else:
            answers.write(json.dumps({"failures": failures}).encode() + b"\n")
            answers.writelines(samples)
        answers.flush()
