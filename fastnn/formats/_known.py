"""What a pickle may name, and what stands for it here: code of this file, which makes arrays and containers.

No value that a pickle describes is printed, hashed or compared before its type is known: a few bytes can
describe a tuple in a tuple in a tuple ... of more leaves than a machine can visit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.errors import CheckpointError

_NUMBERS_AND_TEXT = re.compile("[biufcSU][1-9][0-9]{0,8}")
_MOST_AXES = 64  # NumPy's own limit


@dataclass(frozen=True)
class Name:
    """What the pickle calls by this name, and what is called for it; None: it may be named, not called."""

    name: str
    function: Callable[..., Any] | None


class Dtype:
    """Stands for a dtype while the pickle puts it together."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not _NUMBERS_AND_TEXT.fullmatch(code):
            kind = code[:40] if isinstance(code, str) else f"made of {words(code)}"
            raise CheckpointError(f"refused: it holds an array of dtype {kind}; only numbers and text are read")
        self.dtype: np.dtype[Any] = np.dtype(code)

    def build(self, state: Any) -> None:
        """state: (version, byte order, None, None, None, ...); the three would describe a compound dtype."""
        _, order, *compound = state[:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in compound):
            raise CheckpointError("refused: it holds an array of a compound dtype; only numbers and text are read")
        self.dtype = self.dtype.newbyteorder(order)


class Rebuilt:
    """Stands for an array while the pickle puts it together."""

    array: Array | None = None

    def build(self, state: Any) -> None:
        """state: (version, shape, dtype, whether in Fortran's order, bytes)."""
        _, shape, dtype, fortran, content = state
        self.array = _from_bytes(content, dtype, shape, "F" if fortran is True or fortran == 1 else "C")


def words(value: Any) -> str:
    """A value in a message, which must not show what is in it."""
    return value.name if isinstance(value, Name) else f"a {type(value).__name__.lower()}"


def key(value: Any) -> Any:
    """The value, if it can be the key of a dict."""
    if not isinstance(value, str | bytes | int | float | None):
        raise CheckpointError(f"refused: a dict has {words(value)} for a key; only text and numbers are read")
    return value


def named(module: Any, name: Any) -> Name:
    """What this name stands for, if it is a known one."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a name that is no text")
    if (module, name) not in _KNOWN:
        raise CheckpointError(
            f"refused: it names {module[:80]}.{name[:80]}; only NumPy arrays and plain containers are read"
        )
    return Name(f"{module}.{name}", _KNOWN[module, name])


def _reconstruct(subtype: Any, shape: Any, dtype: Any) -> Rebuilt:
    return Rebuilt()  # its state comes next


def _scalar(dtype: Any, content: Any) -> Array:
    return _from_bytes(content, dtype, (), "C")


def _from_bytes(content: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> Array:
    """The array of exactly these bytes."""
    if isinstance(content, str):  # Python 2 wrote bytes as text
        content = content.encode("latin1")
    whole = isinstance(shape, tuple) and all(type(size) is int and 0 <= size < 2**63 for size in shape)
    if not whole or not isinstance(dtype, Dtype) or not isinstance(content, bytes | bytearray):
        raise ValueError("an array without shape, dtype and bytes")
    if len(shape) > _MOST_AXES or prod(shape) * dtype.dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {shape} and dtype {dtype.dtype} with {len(content)} bytes")
    array: Array = np.ndarray(shape, dtype.dtype, content, order="F" if order == "F" else "C")
    return array if axes is None else array.transpose(axes)


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes in another encoding than latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _dict(pairs: Any = ()) -> dict[Any, Any]:
    return {key(name): value for name, value in pairs}


def _default_dict(factory: Any = None) -> dict[Any, Any]:
    return {}


def _list(items: Any = ()) -> list[Any]:
    if not isinstance(items, list | tuple):
        raise ValueError("a set of something other than a list")
    return list(items)


# As NumPy 1 and 2 and Python 2 and 3 spell them.
_KNOWN: dict[tuple[str, str], Callable[..., Any] | None] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_bytes for core in ("core", "_core")},
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): Dtype,
    ("_codecs", "encode"): _encode,  # how protocols 0 to 2 write bytes
    ("collections", "OrderedDict"): _dict,
    ("collections", "defaultdict"): _default_dict,
    **{
        (module, name): function
        for module in ("builtins", "__builtin__")
        for name, function in {"bytes": _no_bytes, "set": _list, "frozenset": _list, "list": None, "dict": None}.items()
    },
}
