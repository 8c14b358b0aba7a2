"""Mini-batches out of a data set."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._parallel import run

_ROWS = 16  # of a chunk


@kernel
def gather(source, rows, batch):
    """batch (N, C) = source[rows]: source (M, C) and rows (N,), of any type."""
    run(_gather_chunk, -(-rows.size // _ROWS), batch.size, (source, rows, batch))


@kernel
def _gather_chunk(chunk, source, rows, batch):
    for i in range(chunk * _ROWS, min((chunk + 1) * _ROWS, rows.size)):
        row = rows[i]
        for c in range(batch.shape[1]):  # as an array assignment it would compile Numba's error messages: 3 s
            batch[i, c] = source[row, c]
