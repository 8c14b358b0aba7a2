"""The tiles of lesser CPUs: each against its own peak, in a process whose Numba is told of such a CPU."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from fastnn.kernels._simd import features

from .shapes import Figures

PASSES = ["forward", "input_gradient", "weight_gradient"]
OPERATIONS = [f"{kind}_{name}" for kind in ("dense", "conv2d") for name in PASSES]
SETS = {
    "AVX2": {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+movbe",
    },
    "generic 128-bit": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}
FIGURES = {"AVX2": Figures(share_least=0.75), "generic 128-bit": Figures()}


@pytest.mark.benchmark(group="instruction sets")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", SETS)
def test_instruction_set(compare, name, operation):
    if platform.machine().lower() not in ("x86_64", "amd64") or (name == "AVX2" and "fma" not in features().split()):
        pytest.skip(f"this CPU has no {name}")
    command = [sys.executable, "-m", "benchmarks.instruction_set", operation, *(["once"] if compare.once else [])]

    def measure():
        done = subprocess.run(
            command, env=os.environ | SETS[name], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, check=True
        )
        return json.loads(done.stdout)

    row = compare.benchmark.pedantic(measure)
    assert row.pop("tile") == name
    compare.note(f"{name}: {row.pop('operation')}", row.pop("shape"), FIGURES[name], row)
