"""Nothing but fused multiply-adds: the register tile on operands that stay in L1, one chunk a thread."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from ._emitter import MAX_ROWS
from ._jit import kernel
from ._memory import address, stack
from ._parallel import run
from ._simd import VECTORS, gemm, lanes

DEPTH = 128  # with AVX-512 an A of 7 KB and a B of 16 KB
ROW = DEPTH + lanes(np.float32)  # so that the rows of A lie in different sets of L1
COLUMNS = VECTORS * lanes(np.float32)
REPEATS = 2**25 // (MAX_ROWS * COLUMNS * DEPTH)  # 64 MFLOP a thread and call: some 0.6 ms


@kernel
def multiply_add(threads, a, b, c, who):
    """c[t] = REPEATS * a @ b for each thread t; `who` tells which threads did the chunks."""
    run(_chunk, threads, 1 << 40, (a, b, c, who))


@kernel
def _chunk(chunk, a, b, c, who):
    gemm(a, MAX_ROWS, COLUMNS, REPEATS, DEPTH, address(a, 0), ROW, 0, 1, address(b, 0), 0, COLUMNS,
         address(c, chunk * MAX_ROWS * COLUMNS), COLUMNS, 0, 0)  # fmt: skip
    who[chunk] = stack(8)  # every thread has its own
