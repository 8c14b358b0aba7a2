"""The FMA peak of this machine at this moment: the register tile on operands that stay in L1, one chunk a thread.

The pool lets a thread that is awake take the chunk of one that is not. Such a run shows the rate of fewer threads, so
that rate is multiplied by the number of chunks that the busiest thread had.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
from numba import njit

from fastnn import get_num_threads
from fastnn.kernels import dense_forward
from fastnn.kernels._jit import OPTIONS
from fastnn.kernels._memory import address, stack
from fastnn.kernels._parallel import run
from fastnn.kernels._simd import MAX_ROWS, VECTORS, gemm, lanes

DEPTH = 128  # with AVX-512 an A of 7 KB and a B of 16 KB
ROW = DEPTH + lanes(np.float32)  # so that the rows of A lie in different sets of L1
COLUMNS = VECTORS * lanes(np.float32)
REPEATS = 2**25 // (MAX_ROWS * COLUMNS * DEPTH)  # 64 MFLOP a thread and call: some 0.6 ms
STEP = 2.0**-20  # so that the sums are exact


# Not cached on disk: the cache of the kernels knows nothing of this file.
@njit(**OPTIONS)  # type: ignore[untyped-decorator, unused-ignore]
def _chunk(chunk: Any, repeats: Any, a: Any, b: Any, c: Any, who: Any) -> None:
    gemm(a, MAX_ROWS, COLUMNS, repeats, DEPTH, address(a, 0), ROW, 0, 1, address(b, 0), 0, COLUMNS,
         address(c[chunk], 0), COLUMNS, 0, 0)  # fmt: skip
    who[chunk] = stack(8)  # every thread has its own


@njit(**OPTIONS)  # type: ignore[untyped-decorator, unused-ignore]
def _all_chunks(threads: Any, repeats: Any, a: Any, b: Any, c: Any, who: Any) -> None:
    run(_chunk, threads, 1 << 40, (repeats, a, b, c, who))


class Peak:
    """Keeps all threads busy with nothing but fused multiply-adds, of which `gflops` is the measured rate."""

    def __init__(self) -> None:
        one = np.ones((1, 1), np.float32)
        dense_forward(one, one, one[0], 0, 0.0, one.copy())  # links the tile and starts the threads
        self.threads = get_num_threads()
        a, b = np.ones((MAX_ROWS, ROW), np.float32), np.full((DEPTH, COLUMNS), STEP, np.float32)
        c, self._who = np.zeros((self.threads, MAX_ROWS, COLUMNS), np.float32), np.zeros(self.threads, np.int64)
        self._arguments = (self.threads, REPEATS, a, b, c, self._who)
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
        _all_chunks(*self._arguments)
        seconds = time.perf_counter() - began
        busiest = int(np.unique(self._who, return_counts=True)[1].max())
        return 2e-9 * MAX_ROWS * COLUMNS * DEPTH * REPEATS * self.threads * busiest / seconds
