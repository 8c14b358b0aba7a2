"""Calls of kernels written down once, and run again in one compiled call, without Python between them.

A `Tape` has the operations' names. It runs an operation and remembers the call as a row: the address of a small
function, and the words (addresses, shapes, numbers) that this function loads and passes to the kernel. `repeat` is a
loop over the rows. So a training step of any model costs one call, and nothing is compiled for a model: each operation
has its small function beside it, see `words_function` in `_jit.py`.

What changes from step to step is *live*: an array that was declared (its data moves), or a `Live` number.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel, words_function

Array = np.ndarray
_I64 = ir.IntType(64)


class LiveInt(int):
    """An integer that is another one in each step: `following(n)` returns those of the next n steps."""

    following: Callable[[int], Array]


class LiveFloat(float):
    """The same for a float."""

    following: Callable[[int], Array]


@dataclass
class Tape:
    """Runs operations and writes them down. Every array that it saw stays alive, and in its place, with it."""

    operations: Any
    live_arrays: list[Array]
    guard: int = 0
    words: list[int] = field(default_factory=list)
    rows: list[tuple[int, int]] = field(default_factory=list)  # a small function's address, and where its words begin
    places: list[tuple[int, int, int]] = field(default_factory=list)  # of a live word: place, live number, offset
    numbers: list[LiveInt | LiveFloat] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.operations, name)
        if not hasattr(operation, "overloads"):
            return operation  # how much scratch something needs: no kernel

        def write_down(*arguments: Any) -> None:
            operation(*arguments)
            self._add(operation, arguments)

        return write_down

    def live(self, value: int | float, following: Callable[[int], Array]) -> LiveInt | LiveFloat:
        """The number as one that changes from step to step."""
        number = LiveInt(value) if isinstance(value, int) else LiveFloat(value)
        number.following = following
        self.numbers.append(number)
        return number

    def mark_guard(self) -> None:
        """The rows from here on are run only when the step's loss is finite: see `repeat`."""
        self.guard = len(self.rows)

    def _add(self, operation: Any, arguments: tuple[Any, ...]) -> None:
        signature = tuple(operation.typeof_pyval(a) for a in arguments)
        compiled = operation.overloads[signature]
        self.kept.append((compiled, arguments))
        self.rows.append((words_function(compiled), len(self.words)))
        for argument in arguments:
            self._pack(argument)

    def _pack(self, argument: Any) -> None:
        """Append the argument as compiled code takes it: see numba's data models of arrays, tuples and numbers."""
        if isinstance(argument, np.ndarray):
            data = argument.__array_interface__["data"][0]
            self.words += [0, 0, argument.size, argument.itemsize]
            for number, array in enumerate(self.live_arrays):
                offset = data - array.__array_interface__["data"][0]
                if 0 <= offset < array.nbytes:
                    self.places.append((len(self.words), number, offset))
            self.words += [data, *argument.shape, *argument.strides]
        elif isinstance(argument, tuple):
            for element in argument:
                self._pack(element)
        else:
            if isinstance(argument, LiveInt | LiveFloat):
                number = next(i for i, known in enumerate(self.numbers) if known is argument)
                self.places.append((len(self.words), len(self.live_arrays) + number, 0))
            self.words.append(_bits(argument))

    def finish(self) -> Recording:
        """Return what `repeat` needs."""
        places = np.array(self.places, np.int64).reshape(-1, 3)
        return Recording(np.array(self.rows, np.int64), np.array(self.words, np.int64), places, self.guard, self)


@dataclass
class Recording:
    """A tape ready to run: rows (R, 2), words, live places (L, 3)."""

    rows: Array
    words: Array
    places: Array
    guard: int
    tape: Tape

    def following(self, addresses: list[Array], steps: int) -> Array:
        """The live words of the next steps, int64 (live, steps): the addresses of the live arrays, then the numbers."""
        columns = np.empty((len(addresses) + len(self.tape.numbers), steps), np.int64)
        for row, given in enumerate(addresses):
            columns[row] = given
        for row, number in enumerate(self.tape.numbers, len(addresses)):
            values = number.following(steps)
            columns[row] = values.view(np.int64) if values.dtype == np.float64 else values
        return columns


@kernel
def repeat(rows, words, places, columns, first_row, guard, losses):
    """Run the rows from `first_row` on once for each step, a column of `columns`; return how many steps were done.

    The rows before `guard` leave the step's loss in losses (steps,): where it is NaN or infinite, all ends there.
    """
    for step in range(columns.shape[1]):
        for i in range(places.shape[0]):
            words[places[i, 0]] = columns[places[i, 1], step] + places[i, 2]
        for row in range(first_row, rows.shape[0]):
            if row == guard and not np.isfinite(losses[step]):
                return step
            _call(rows[row, 0], words, rows[row, 1])
    return columns.shape[1]


@intrinsic
def _call(typingctx: Any, function: Any, words: Any, at: Any) -> Any:
    """Call a small function with the address of its words."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[1])(context, builder, values[1]).data
        function_type = ir.FunctionType(ir.VoidType(), [_I64.as_pointer()])
        builder.call(builder.inttoptr(values[0], function_type.as_pointer()), [builder.gep(data, [values[2]])])
        return context.get_dummy_value()

    return types.void(types.int64, words, types.int64), codegen


def _bits(number: Any) -> int:
    """The 64 bits of a float, or the integer."""
    return int(np.float64(number).view(np.int64)) if isinstance(number, float | np.floating) else int(number)
