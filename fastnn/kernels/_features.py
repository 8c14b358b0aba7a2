"""The instructions that compiled code may use: those of the CPU, or of Numba's CPU settings, and of the system."""

from __future__ import annotations

import ctypes
import platform
import sys

from numba.core.registry import cpu_target

TRIPLE, CPU, _NAMES = cpu_target.target_context.codegen().magic_tuple()
# Linux gives AMX's registers to processes that ask: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
_ARCH_PRCTL, _ASK, _TILES = 158, 0x1023, 18


def _has_tiles() -> bool:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    return int(ctypes.CDLL(None).syscall(_ARCH_PRCTL, _ASK, _TILES)) == 0


# CPUs with AVX-512 but AMD's: what is not in L1 or L2 is far, and comes late while the core's other thread works.
HAS_FAR_CACHES = "+avx512f" in _NAMES and not CPU.startswith("znver")
FEATURES = set(_NAMES.split(","))
if "+amx-bf16" in FEATURES and not ("+avx512bf16" in FEATURES and _has_tiles()):
    FEATURES.remove("+amx-bf16")
