"""How kernels are compiled: the only place with Numba options, and the owner of the disk cache.

`@kernel` compiles a function when it is first called with new argument types. `Primitive` compiles a function once per
machine for fixed types and publishes it under a symbol, so that kernels call it without compiling it again.

The cache is a folder with one file per function and signature. Its name is a hash of all kernel sources, the versions
and the CPU, because Numba's own cache does not notice an edit in *another* file. A damaged file is compiled again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
import platformdirs
from numba.core import compiler, types
from numba.core.caching import NullCache
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher, cpu_target

OPTIONS: dict[str, Any] = {
    "nogil": True,  # threads of a server may run kernels side by side
    "error_model": "numpy",  # no branch for division by zero: loops stay vectorisable
    # contract: fused multiply-add. reassoc: sums may be split over vector lanes. nsz, arcp: cheap algebra.
    # Never nnan or ninf: they delete NaN checks.
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
}
# For code whose rounding steps must stay in order; always inlined, because a loop around a call is not vectorised.
EXACT = OPTIONS | {"fastmath": {"contract"}, "forceinline": True}
CACHE_VARIABLE = "FASTNN_CACHE_DIR"

_primitives: list[Primitive] = []


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` when it is first called, with OPTIONS and the disk cache."""
    return _jit(function, OPTIONS)


def exact(function: Callable[..., Any]) -> Any:
    """Compile `function` without reordering its arithmetic: for polynomials, range reductions and careful sums."""
    return _jit(function, EXACT)


def _jit(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    dispatcher = _Dispatcher(function, targetoptions=options | {"nopython": True})
    dispatcher._cache = DiskCache(function)
    return dispatcher


class _Dispatcher(CPUDispatcher):  # type: ignore[misc]
    """Numba's dispatcher, but a call with a constant argument compiles no variant of its own."""

    def get_call_template(self, args: Any, kws: Any) -> Any:
        return super().get_call_template(
            tuple(types.unliteral(a) for a in args), {name: types.unliteral(a) for name, a in kws.items()}
        )


class Primitive:
    """A function compiled once for fixed types. Kernels call it by its symbol, which the linker finds."""

    def __init__(self, function: Callable[..., Any], symbol: str, signature: Any) -> None:
        self.symbol = f"fastnn_{symbol}"
        self._compiled = CFunc(function, (signature.args, signature.return_type), {}, OPTIONS | {"nopython": True})
        self._compiled._cache = DiskCache(function, name=self.symbol)
        self._linked = False
        _primitives.append(self)

    @property
    def address(self) -> int:
        return int(self._compiled.address)

    def link(self) -> None:
        """Compile or load the function and make its symbol known to the linker."""
        if not self._linked:
            self._linked = True
            self._compiled.compile()
            llvm.add_symbol(self.symbol, self.address)


def link_primitives(signature: Any) -> None:
    """Link the primitives of a kernel's float type, its first float array's: an unknown symbol would be a null call."""
    floats = [t.dtype for t in _flat(signature) if isinstance(t, types.Array) and isinstance(t.dtype, types.Float)]
    if floats:
        for primitive in _primitives:
            if primitive.symbol.endswith(f"_f{floats[0].bitwidth}"):
                primitive.link()


def _flat(signature: Any) -> Iterator[Any]:
    """Yield the argument types of a signature or tuple, those of inner tuples too."""
    for argument in signature.args if hasattr(signature, "args") else signature:
        if isinstance(argument, types.BaseTuple):
            yield from _flat(argument)
        else:
            yield argument


class DiskCache(NullCache):  # type: ignore[misc]
    """Numba's cache interface over one file per function and signature: a SHA-256, then Numba's own serialised code."""

    def __init__(self, function: Callable[..., Any], name: str = "") -> None:
        self._name = f"{function.__module__.rpartition('.')[2]}.{name or function.__qualname__}"
        self._is_primitive = bool(name)

    @property
    def cache_path(self) -> str | None:
        folder = cache_folder()
        return None if folder is None else str(folder)

    def _path(self, signature: Any) -> Path | None:
        folder = cache_folder()
        key = hashlib.sha256(str(signature).encode()).hexdigest()[:16]
        return None if folder is None else folder / f"{self._name}-{key}.bin"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the compiled function from the disk, or None when it has to be compiled."""
        if not self._is_primitive:
            from ._pool import launch

            launch()
            link_primitives(signature)
        target_context.refresh()
        payload = _read(self._path(signature))
        return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload)) if payload else None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Write the compiled function to the disk."""
        if not compiled.library.has_dynamic_globals:
            _write(self._path(signature), pickle.dumps(compiled._reduce()))


def load_or_emit(name: str, makers: dict[str, Callable[[Any], None]]) -> Any:
    """Return a library with functions that `makers` emit as LLVM IR, by their names; from the disk if it is there."""
    codegen, folder = cpu_target.target_context.codegen(), cache_folder()
    key = hashlib.sha256(" ".join(sorted(makers)).encode()).hexdigest()[:16]
    path = None if folder is None else folder / f"{name}-{key}.bin"
    payload = _read(path)
    if payload:
        return codegen.unserialize_library(pickle.loads(payload))
    library = codegen.create_library(f"fastnn_{name}")
    library.enable_object_caching()
    module = library.create_ir_module(f"fastnn_{name}")
    for _, emit in sorted(makers.items()):
        emit(module)
    library.add_ir_module(module)
    with global_compiler_lock:
        library.finalize()
    _write(path, pickle.dumps(library.serialize_using_object_code()))
    return library


def _read(path: Path | None) -> bytes:
    """Return what `_write` wrote, or nothing where it is missing or damaged.

    The caller unpickles it, as Numba serialises compiled code: only files of a folder that nobody else can write come
    here.
    """
    try:
        data = path.read_bytes() if path else b""
    except OSError:
        return b""
    digest, payload = data[:32], data[32:]
    return payload if hashlib.sha256(payload).digest() == digest else b""


def _write(path: Path | None, payload: bytes) -> None:
    """Write a checksum and the payload beside the final name, then rename: readers never see half a file."""
    if path is None:
        return
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
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            raise PermissionError(f"{folder} belongs to or is writable by somebody else")
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        warnings.warn(
            f"fastnn: kernels are compiled anew in every process, because {folder} cannot be used ({error}); "
            f"set {CACHE_VARIABLE} to a writable folder",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return folder


def _build_hash() -> str:
    """Hash everything that compiled code depends on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    versions = (numba.__version__, llvmlite.__version__, np.__version__, sys.version, platform.machine())
    digest.update(repr((versions, cpu_target.target_context.codegen().magic_tuple())).encode())
    return digest.hexdigest()[:16]
