"""Mini-batches out of a data set."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._memory import address, ask
from ._parallel import run

_ROWS = 16  # of a chunk
_LINE = 64  # bytes of a cache line
_FAR = 4  # elements moved within the caches in the time of one that comes from memory


@kernel
def gather(source, rows, batch):
    """batch (N, C) = source[rows]: source (M, C) and rows (N,), of any type."""
    run(_gather_chunk, -(-rows.size // _ROWS), _FAR * batch.size, (source, rows, batch))


@kernel
def _gather_chunk(chunk, source, rows, batch):
    """Copy some rows. The next one is asked for meanwhile, into L2, for which many more lines may be on their way.

    32 of 60,000 random rows of 784 floats, one thread: 12.4 us without, 9.2 with, and 13.2 when L1 is asked.
    """
    last = min((chunk + 1) * _ROWS, rows.size)
    for i in range(chunk * _ROWS, last):
        row = rows[i]
        if i + 1 < last:
            following = address(source, rows[i + 1] * source.shape[1])
            for offset in range(0, source.shape[1] * source.itemsize, _LINE):
                ask(following + offset)
        for c in range(batch.shape[1]):  # as an array assignment it would compile Numba's error messages: 3 s
            batch[i, c] = source[row, c]
