"""One operation on the tile that this process chooses: `python -m benchmarks.instruction_set OPERATION [once]`.

Prints the row as JSON. The tile follows from Numba's choice of CPU, so another one needs a process of its own, with
NUMBA_CPU_NAME and NUMBA_CPU_FEATURES set.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from fastnn import kernels, reference
from fastnn.bench.peak import Peak
from fastnn.kernels._emitter import INSTRUCTIONS

from .calls import conv_call, dense_call
from .pairs import FULL, ONCE, Effort, Pairs, equal
from .shapes import Conv, Dense

DENSE, CONV = Dense(128, 784, 256), Conv(64, 16, 64, 64)


def measure(operation: str, effort: Effort) -> dict[str, Any]:
    """The operation beside this instruction set's own peak; its results are proven first."""
    shape = DENSE if operation.startswith("dense") else CONV
    call = dense_call(operation, shape) if isinstance(shape, Dense) else conv_call(operation, shape)
    (ours, results), (theirs, expected) = call.on(kernels), call.on(reference)
    ours()
    theirs()
    equal(results, expected)
    pairs = Pairs(ours, None, effort)
    pairs.against_peak(Peak(), shape.multiply_adds)
    for _ in range(effort.rounds):
        pairs.round()
    return {"operation": operation, "shape": str(shape), "tile": INSTRUCTIONS, **pairs.medians()}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], ONCE if "once" in sys.argv[2:] else FULL)))
