"""Products on the tiles of lesser CPUs, by the tests of this one, in a process whose Numba is told of such a CPU.

Of everything else on them: see CONTRIBUTING.md.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from fastnn.kernels import _amx, _simd

AVX2 = "+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+movbe"
PAIRS = f"{AVX2},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl,+avx512bf16"
BLOCKED = "tests/test_dense.py", "blocked and float32 and guarded_end"
ROUNDED = "tests/test_bf16.py", "rounded"
HAS_AVX2 = {"avx2", "fma"} <= set(_simd.features().split())


@pytest.mark.parametrize(
    ("cpu", "features", "tests", "here"),
    [
        ("haswell", AVX2, BLOCKED, HAS_AVX2),
        ("generic", "", BLOCKED, platform.machine().lower() in ("x86_64", "amd64")),
        ("cooperlake", PAIRS, ROUNDED, _amx.HAS_AMX),  # pairs without AMX, where others have tests of tiles
    ],
    ids=["AVX2", "128-bit", "AVX512_BF16"],
)
def test_products(cpu, features, tests, here):
    if not here:
        pytest.skip("not on this CPU")
    environment = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    path, which = tests
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path, "-k", which]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
