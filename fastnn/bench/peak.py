"""The FMA peak of this machine at this moment: the register tile on operands that stay in L1, one chunk a thread.

The pool lets a thread that is awake take the chunk of one that is not. Such a run shows the rate of fewer threads, so
that rate is multiplied by the number of chunks that the busiest thread had.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from fastnn import get_num_threads
from fastnn.kernels._emitter import MAX_ROWS
from fastnn.kernels._peak import COLUMNS, DEPTH, REPEATS, ROW, multiply_add

STEP = 2.0**-20  # so that the sums are exact


class Peak:
    """Keeps all threads busy with nothing but fused multiply-adds, of which `gflops` is the measured rate."""

    def __init__(self) -> None:
        self.threads = get_num_threads()
        a, b = np.ones((MAX_ROWS, ROW), np.float32), np.full((DEPTH, COLUMNS), STEP, np.float32)
        c, self._who = np.zeros((self.threads, MAX_ROWS, COLUMNS), np.float32), np.zeros(self.threads, np.int64)
        self._arguments = (self.threads, a, b, c, self._who)
        self._run()
        np.testing.assert_array_equal(c, STEP * DEPTH * REPEATS)

    def gflops(self, seconds: float) -> float:
        """The rate of all threads at once in GFLOP/s: the median of the runs in so many seconds, at least one."""
        runs, end = [self._run()], time.perf_counter() + seconds
        while time.perf_counter() < end:
            runs.append(self._run())
        return statistics.median(runs)

    def _run(self) -> float:
        began = time.perf_counter()
        multiply_add(*self._arguments)
        seconds = time.perf_counter() - began
        busiest = int(np.unique(self._who, return_counts=True)[1].max())
        return 2e-9 * MAX_ROWS * COLUMNS * DEPTH * REPEATS * self.threads * busiest / seconds
