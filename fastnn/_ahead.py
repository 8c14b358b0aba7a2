"""A first start in two processes: this one compiles from a step's first operation on, a helper from its last.

Each finds what the other compiled in the disk cache, and waits for what the other is compiling. The helper gets the
step as a pickle, and writes its operations down without running them, to know their shapes: it compiles what they need.
"""

from __future__ import annotations

import atexit
import contextlib
import pickle
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import subprocess

    from fastnn._recorded import Recorded

# It reads what this process wrote to a file that nobody else can open.
_PROGRAM = """
import sys
sys.path = [place for place in sys.path if place]  # no module of the working directory
import pickle
sys.path[:] = pickle.load(sys.stdin.buffer)
from fastnn import _ahead
_ahead.help_with(pickle.load(sys.stdin.buffer))
"""
_helpers: list[subprocess.Popen[bytes]] = []  # one at most in the life of this process


@contextlib.contextmanager
def helped(work: Recorded) -> Iterator[None]:
    """Within, start a helper as soon as one of the work's operations has to be compiled."""
    from fastnn.kernels import _jit

    _jit.on_miss = lambda: _start(work)
    try:
        yield
    finally:
        _jit.on_miss = None
        for helper in _helpers:
            helper.poll()  # one that has ended would stay in the system's table


def _start(work: Recorded) -> None:
    """Start the helper of this process, if kernels may use a second core."""
    import subprocess
    import tempfile

    from fastnn._threads import get_num_threads
    from fastnn.kernels import _cache

    alone = get_num_threads() == 1 or _cache.cache_folder() is None
    if alone or _helpers or not sys.executable or getattr(sys, "frozen", False):
        return
    cannot = OSError, pickle.PicklingError, AttributeError, TypeError  # no process, or no pickle: no helper
    with contextlib.suppress(*cannot), tempfile.TemporaryFile() as file:
        pickle.dump(sys.path, file)
        pickle.dump(work, file)
        file.seek(0)
        command, silent = [sys.executable, "-c", _PROGRAM], subprocess.DEVNULL
        _helpers.append(subprocess.Popen(command, stdin=file, stdout=silent, stderr=silent))


@atexit.register
def _end() -> None:
    for helper in _helpers:
        helper.kill()
        helper.wait()


def help_with(work: Recorded) -> None:
    """Run the operations of the work, the last one first, on zeros: they compile what they get to."""
    from fastnn.kernels import _simd

    _simd.link(work.model.dtype)  # before this process's parent needs it
    for operation, arguments in reversed(work.draft()):
        for argument in arguments:
            if isinstance(argument, np.ndarray) and argument.flags.writeable:
                argument.fill(0)  # as a place in an array, 0 is within
        operation(*arguments)
