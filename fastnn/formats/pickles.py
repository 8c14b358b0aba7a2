"""The arrays of a pickle, read without running it.

A pickle is a program, and Python's own reader calls whatever it names. Here a small machine goes through its
instructions, which the standard library's `pickletools` parses, and knows no call at all: where a pickle names
one of the functions that rebuild a NumPy array, code of `_known.py` does it, from bytes whose number is checked
first. Any other name, and any instruction that makes an object, is refused when it is met. Nothing is hashed
but text and numbers, and no size that a file states is believed.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn._typing import Array
from fastnn.errors import CheckpointError
from fastnn.formats._known import Dtype, Name, Rebuilt, key, named, words

# From the outside in: dict keys as text, places in lists and tuples as numbers.
Place = tuple[str | int, ...]

_DEEPEST = 32  # containers in containers
_OPCODES = {info.code: info for info in pickletools.opcodes}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_SET": list}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def arrays(data: bytes) -> list[tuple[Place, Array]]:
    """Every array and every number of the pickle with its place, in order; a number is an array of shape ().

    Raises CheckpointError for what is no pickle, or a damaged one, and for one that holds anything other than
    arrays of numbers or text, numbers, text, and plain containers; the message names it.
    """
    try:
        return list(_walk(_run(data), (), set()))
    except CheckpointError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError, MemoryError) as error:
        raise CheckpointError(f"no pickle, or a damaged one: {error or type(error).__name__}") from error


# The machine


def _instructions(data: bytes) -> Iterator[tuple[str, Any]]:
    """Name and argument of every instruction, up to the last one."""
    file = io.BytesIO(data)
    name = ""
    while name != "STOP":
        info = _OPCODES.get(file.read(1).decode("latin1"))
        if info is None:
            raise ValueError(f"no instruction at byte {file.tell()}")
        name = info.name
        if name == "STRING":  # its own reader takes ASCII alone, and Python 2 wrote an array's bytes so
            text = pickletools.read_stringnl(file, decode=False)
            yield name, text.decode("unicode_escape") if isinstance(text, bytes) else text
        else:
            yield name, info.arg.reader(file) if info.arg else None


def _run(data: bytes) -> Any:
    """What the pickle describes, with `Rebuilt` for arrays."""
    to_copy = 4 * len(data) + 1000  # a pickle that was written by Python uses an array's bytes once or twice
    stack: list[Any] = []
    marked: list[list[Any]] = []  # the stacks below each mark
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        nonlocal stack
        items, stack = stack, marked.pop()
        return items

    for name, argument in _instructions(data):
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            marked.append(stack)
            stack = []
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
        elif name in ("TUPLE", "LIST", "FROZENSET"):
            items = since_mark()
            stack.append(tuple(items) if name == "TUPLE" else items)
        elif name == "DICT":
            items = since_mark()
            stack.append({})
            _set_items(stack[-1], items)
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            items = [stack.pop()] if name == "APPEND" else since_mark()
            list.extend(stack[-1], items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else since_mark()
            _set_items(stack[-1], items)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            module, what = argument.split(" ", 1) if name == "GLOBAL" else (stack.pop(-2), stack.pop())
            stack.append(named(module, what))
        elif name in ("REDUCE", "BUILD"):
            argument, target = stack.pop(), stack.pop()
            to_copy -= _size(argument)
            if to_copy < 0:
                raise CheckpointError("refused: it uses the same data again and again")
            if name == "REDUCE":
                target = _call(target, argument)
            elif isinstance(target, Rebuilt | Dtype):
                target.build(argument)
            else:
                raise CheckpointError(f"refused: it sets the state of {words(target)}")
            stack.append(target)
        elif name == "POP":
            stack.pop()
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise CheckpointError(f"refused: its instruction {name} is not one of plain arrays and containers")
    return stack.pop()


def _size(value: Any) -> int:
    """How much a call may copy of its arguments."""
    parts = value if isinstance(value, tuple) else (value,)
    return len(parts) + sum(len(part) for part in parts if isinstance(part, str | bytes | bytearray | list | tuple))


def _call(function: Any, arguments: Any) -> Any:
    if not isinstance(function, Name) or function.function is None or not isinstance(arguments, tuple):
        raise CheckpointError(f"refused: it calls {words(function)}")
    return function.function(*arguments)


def _set_items(target: Any, items: list[Any]) -> None:
    if not isinstance(target, dict) or len(items) % 2:
        raise ValueError("items for something other than a dict")
    for name, value in zip(items[::2], items[1::2], strict=True):
        target[key(name)] = value


# The result


def _walk(value: Any, place: Place, seen: set[int]) -> Iterator[tuple[Place, Array]]:
    """The arrays below value. A container that is met again, which may be inside itself, counts once."""
    if isinstance(value, Rebuilt):
        if value.array is None:
            raise ValueError("an array without content")
        value = value.array
    if isinstance(value, np.ndarray):
        yield place, value
    elif isinstance(value, float) or (type(value) is int and value.bit_length() < 64):
        yield place, np.asarray(float(value))
    elif isinstance(value, dict | list | tuple) and id(value) not in seen:
        seen.add(id(value))
        if len(place) == _DEEPEST:
            raise CheckpointError(f"refused: its containers are nested more than {_DEEPEST} deep")
        pairs = ((_text(name), each) for name, each in value.items()) if isinstance(value, dict) else enumerate(value)
        for part, each in pairs:
            yield from _walk(each, (*place, part), seen)


def _text(name: Any) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else str(name)
