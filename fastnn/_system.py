"""The machine as `fastnn info` and the folder of a run show it: the CPU, how kernels use it, versions."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def describe() -> dict[str, str]:
    """Return the machine and the kernels' view of it as text, in the order to show."""
    import numba

    from . import __version__
    from .kernels import _cache, _pool, _simd

    folder = _cache.cache_folder()
    return {
        "fastnn": __version__,
        "python": platform.python_version(),
        "numba": numba.__version__,
        "cpu": _cpu_model(),
        "features": _simd.features(),
        "tile": _simd.describe(),
        "bf16": _simd.describe_bf16(),
        "threading layer": f"fastnn's own pool, idle threads wait by {_pool.waiting()}",
        "threads": f"{_pool.get_limit()} of {_pool.pool_size()}",
        "cache folder": "none (nothing is writable)" if folder is None else str(folder),
    }


def environment(backend: str) -> dict[str, Any]:
    """What a run was done with, as JSON values; nothing of the host's or the user's name."""
    from importlib.metadata import version

    from . import __version__

    found = {
        "fastnn": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba", "llvmlite")},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "backend": backend,
    }
    if backend != "numba":
        return found
    from .kernels import _pool, _simd

    return {**found, "features": _simd.features(), "tile": _simd.describe(), "threads": _pool.get_limit()}


def kernels_cached() -> bool:
    """Return whether kernels were compiled on this machine before: False announces a wait of some seconds."""
    from .kernels import _cache

    folder = _cache.cache_folder()
    return folder is not None and any(folder.glob("*.bin"))


def _cpu_model() -> str:
    """Return the CPU's name as the system gives it, or its architecture."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
