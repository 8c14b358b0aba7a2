"""The disk cache of compiled code: one file per function and signature, in a private folder.

The folder's name is a hash of all kernel sources, the versions and the CPU, because Numba's own cache does not notice
an edit in *another* file. A damaged file counts as missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
import platformdirs

from ._features import CPU, FEATURES, TRIPLE

CACHE_VARIABLE = "FASTNN_CACHE_DIR"
PATIENCE = 60  # seconds that a process waits for what another one compiles
UNUSED = 30 * 24 * 3600  # seconds until the folder of a build that no process uses is removed by a newer one


def short_hash(value: Any) -> str:
    """Return 16 hexadecimal digits for what `str` gives: types and signatures have the same in every process."""
    return hashlib.sha256(str(value).encode()).hexdigest()[:16]


def load(name: str) -> Any:
    """Return what was saved under the name, or None."""
    folder = cache_folder()
    payload = _read(folder / f"{name}.bin") if folder else b""
    return pickle.loads(payload) if payload else None


def save(name: str, value: Any) -> None:
    """Write the value to the cache, if there is one."""
    folder = cache_folder()
    if folder:
        _write(folder / f"{name}.bin", pickle.dumps(value))


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Let one process at a time make what it is going to save under the name; the others wait, up to PATIENCE."""
    folder = cache_folder()
    if folder is None:
        yield
        return
    from filelock import FileLock

    path = folder / f"{name}.lock"
    lock = FileLock(path, poll_interval=0.005, fallback_to_soft=False)  # a soft one would outlive a process
    with contextlib.suppress(OSError):  # no locks there, or a timeout: all make it, and the last one stays
        lock.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # who comes now finds what was saved
        lock.release()


def _read(path: Path) -> bytes:
    """Return what `_write` wrote, or nothing where it is missing or damaged.

    The caller unpickles it, as Numba serialises compiled code: only files of a folder that nobody else can write come
    here.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return b""
    digest, payload = data[:32], data[32:]
    return payload if hashlib.sha256(payload).digest() == digest else b""


def _write(path: Path, payload: bytes) -> None:
    """Write a checksum and the payload beside the final name, then rename: readers never see half a file."""
    with contextlib.suppress(OSError):  # a full disk costs the next start a compilation, nothing else
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Return this build's cache folder (created, private to the user), or None where nothing can be written."""
    chosen = os.environ.get(CACHE_VARIABLE)
    root = Path(chosen) if chosen else platformdirs.user_cache_path("fastnn") / "kernels"
    folder = root / _build_hash()
    try:
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            raise PermissionError(f"{folder} belongs to or is writable by somebody else")
        tempfile.TemporaryFile(dir=folder).close()
        os.utime(folder)
        if is_new:
            _remove_unused(root)
    except OSError as error:
        warnings.warn(
            f"fastnn: kernels are compiled anew in every process, because {folder} cannot be used ({error}); "
            f"set {CACHE_VARIABLE} to a writable folder",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return folder


def _remove_unused(root: Path) -> None:
    """Remove the folders of other builds that no process has used for long. Their names and files tell what is ours."""
    for folder in root.iterdir():
        with contextlib.suppress(OSError):
            if re.fullmatch("[0-9a-f]{16}", folder.name) and time.time() - folder.stat().st_mtime > UNUSED:
                for path in [*folder.glob("*.bin"), *folder.glob("*.tmp"), *folder.glob("*.lock")]:
                    path.unlink()
                folder.rmdir()


def _build_hash() -> str:
    """Hash everything that compiled code depends on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    versions = (numba.__version__, llvmlite.__version__, np.__version__, sys.version, platform.machine())
    digest.update(repr((versions, TRIPLE, CPU, sorted(FEATURES))).encode())
    return digest.hexdigest()[:16]
