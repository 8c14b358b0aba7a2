"""The sum at the end of a skip connection."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._math import CHUNK
from ._parallel import run


@kernel
def residual_add(a, b, y):
    """y = a + b, all (size,)."""
    run(_add_chunk, -(-y.size // CHUNK), y.size, (a, b, y))


@kernel
def _add_chunk(chunk, a, b, y):
    first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, y.size)
    a, b, y = a[first:last], b[first:last], y[first:last]
    for i in range(y.size):
        y[i] = a[i] + b[i]
