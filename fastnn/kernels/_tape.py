"""Calls of kernels written down once, and run again in one compiled call, without Python between them.

`Tape.on` stands in for a module of operations. It runs an operation and remembers the call as a row: the address of a
small function, and the words (addresses, shapes, numbers) that this function loads and passes to the kernel. `repeat`
is a loop over the rows. So a training step of any model costs one call, and nothing is compiled for a model: each
operation has its small function beside it, see `words_function` in `_jit.py`.

What changes from step to step is *live*: an array whose data moves, as `finish` is told, or a `Live` number.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import addressof, c_char
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel, words_function
from ._memory import address

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
    """Runs operations and writes them down. Every array that it saw stays alive with it, but for the live ones."""

    guard: int = 0
    update: int = 0
    first_of_update: int = 0  # of the live numbers
    words: list[int] = field(default_factory=list)
    rows: list[tuple[int, int]] = field(default_factory=list)  # a small function's address, and where its words begin
    pointers: list[int] = field(default_factory=list)  # places of addresses of arrays' data
    number_places: list[tuple[int, int]] = field(default_factory=list)  # place of a live number, and which it is
    numbers: list[LiveInt | LiveFloat] = field(default_factory=list)  # those that a call took
    kept: list[tuple[Any, Any, tuple[Any, ...]]] = field(default_factory=list)

    def on(self, operations: Any) -> _Recorder:
        """A module's operations, each of which runs and is written down."""
        return _Recorder(self, operations)

    def live(self, value: int | float, following: Callable[[int], Array]) -> LiveInt | LiveFloat:
        """The number as one that changes from step to step."""
        number = LiveInt(value) if isinstance(value, int) else LiveFloat(value)
        number.following = following
        return number

    def mark_guard(self) -> None:
        """The rows from here on are run only when the step's loss is finite: see `repeat`."""
        self.guard = len(self.rows)

    def mark_update(self) -> None:
        """The rows from here on, and their live numbers, belong to the steps that end with an update: see `repeat`."""
        self.update, self.first_of_update = len(self.rows), len(self.numbers)

    def call(self, operation: Any, arguments: tuple[Any, ...]) -> None:
        """Run an operation and write it down."""
        operation(*arguments)
        signature = tuple(operation.typeof_pyval(a) for a in arguments)
        compiled = operation.overloads[signature]
        self.kept.append((operation, compiled, arguments))
        self.rows.append((words_function(compiled), len(self.words)))
        for argument in arguments:
            self._pack(argument)

    def calls(self) -> list[tuple[str, tuple[Any, ...]]]:
        """The operations in their order: name and arguments."""
        return [(operation.__name__, arguments) for operation, _, arguments in self.kept]

    def _pack(self, argument: Any) -> None:
        """Append the argument as compiled code takes it: see numba's data models of arrays, tuples and numbers."""
        if isinstance(argument, np.ndarray):
            self.words += [0, 0, argument.size, argument.itemsize]
            self.pointers.append(len(self.words))
            self.words += [address_of(argument), *argument.shape, *argument.strides]
        elif isinstance(argument, tuple):
            for element in argument:
                self._pack(element)
        else:
            if isinstance(argument, LiveInt | LiveFloat):
                if not any(known is argument for known in self.numbers):
                    self.numbers.append(argument)
                number = next(i for i, known in enumerate(self.numbers) if known is argument)
                self.number_places.append((len(self.words), number))
            self.words.append(_bits(argument))

    def finish(self, live_arrays: Sequence[Array]) -> Recording:
        """Return what `repeat` needs; `live_arrays` are those whose data moves, with all views of them."""
        places = [(place, len(live_arrays) + number, 0) for place, number in self.number_places]
        for number, array in enumerate(live_arrays):
            start = address_of(array)
            offsets = ((place, self.words[place] - start) for place in self.pointers)
            places += [(place, number, offset) for place, offset in offsets if 0 <= offset < array.nbytes]
        blanks = [(array, np.zeros(1, array.dtype)) for array in live_arrays]
        self.kept = [(*call, _without_data(arguments, blanks)) for *call, arguments in self.kept]
        rows, live = (np.array(table, np.int64) for table in (self.rows, places))
        words = np.array(self.words, np.int64)
        return Recording(rows.reshape(-1, 2), words, live.reshape(-1, 3), self.guard, self.update, self)


class Draft(Tape):
    """Writes operations down without running them; not to be finished."""

    def call(self, operation: Any, arguments: tuple[Any, ...]) -> None:
        """Write down an operation."""
        self.kept.append((operation, None, arguments))


@dataclass(frozen=True)
class _Recorder:
    tape: Tape
    operations: Any

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.operations, name)
        if not hasattr(operation, "overloads"):
            return operation  # how much scratch something needs: no kernel

        def write_down(*arguments: Any) -> None:
            self.tape.call(operation, arguments)

        return write_down


@dataclass
class Recording:
    """A tape ready to run: rows (R, 2), words, live places (L, 3)."""

    rows: Array
    words: Array
    places: Array
    guard: int
    update: int
    tape: Tape

    def numbers(self, steps: int, updates: Array | None = None) -> Array:
        """The live numbers of the next steps, int64 (numbers, steps).

        updates (steps,) says which steps end with an update, None that all do; an update's numbers count those alone.
        """
        numbers = np.empty((len(self.tape.numbers), steps), np.int64)
        for row, number in enumerate(self.tape.numbers):
            if updates is None or row < self.tape.first_of_update:
                numbers[row] = _words_of(number.following(steps))
            else:
                numbers[row, updates] = _words_of(number.following(int(np.count_nonzero(updates))))
        return numbers


@kernel
def repeat(rows, words, places, addresses, numbers, first_row, guard, losses, scale, update, updates):
    """Run the rows from `first_row` on once for each step; return how many of the steps (losses.size) were done.

    addresses (2 * live arrays,): where each begins in the first step, and how many bytes further in each next one.
    numbers (live numbers, steps). The rows before `guard` leave the step's loss in losses (steps,), to be multiplied by
    `scale`: where it is NaN or infinite, all ends there. The rows from `update` on are run in those steps alone where
    updates (steps,) is true.
    """
    arrays = addresses.size // 2
    for step in range(losses.size):
        for i in range(places.shape[0]):
            live = places[i, 1]
            if live < arrays:
                words[places[i, 0]] = addresses[2 * live] + step * addresses[2 * live + 1] + places[i, 2]
            else:
                words[places[i, 0]] = numbers[live - arrays, step]
        for row in range(first_row, rows.shape[0]):
            if row == guard:
                losses[step] *= scale
                if not np.isfinite(losses[step]):
                    return step
            if row == update and not updates[step]:
                break
            _call(rows[row, 0], words, rows[row, 1])
    return losses.size


@kernel
def repeat_batches(rows, words, places, batches, x, y):
    """Run all rows once for each batch of x and y (size,), live arrays 0 and 1: consecutive pieces of equal size."""
    for batch in range(batches):
        for i in range(places.shape[0]):
            start = address(x, batch * (x.size // batches))
            if places[i, 1] == 1:
                start = address(y, batch * (y.size // batches))
            words[places[i, 0]] = start + places[i, 2]
        for row in range(rows.shape[0]):
            _call(rows[row, 0], words, rows[row, 1])


@intrinsic
def _call(typingctx: Any, function: Any, words: Any, at: Any) -> Any:
    """Call a small function with the address of its words."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[1])(context, builder, values[1]).data
        function_type = ir.FunctionType(ir.VoidType(), [_I64.as_pointer()])
        builder.call(builder.inttoptr(values[0], function_type.as_pointer()), [builder.gep(data, [values[2]])])
        return context.get_dummy_value()

    return types.void(types.int64, words, types.int64), codegen


def _without_data(arguments: tuple[Any, ...], blanks: Sequence[tuple[Array, Array]]) -> tuple[Any, ...]:
    """The arguments with each live array's blank, in its shape, instead of its memory: a data set may be large."""

    def blank(argument: Any) -> Any:
        if isinstance(argument, np.ndarray):
            for array, zero in blanks:
                if 0 <= address_of(argument) - address_of(array) < array.nbytes:
                    return np.broadcast_to(zero, argument.shape)
        return argument

    return tuple(blank(argument) for argument in arguments)


def address_of(array: Array) -> int:
    """Where the array's data begins."""
    if array.size > 0 and array.flags.carray:  # every step comes here: a fifth of the time
        return addressof(c_char.from_buffer(array.data))
    return int(array.__array_interface__["data"][0])


def _words_of(numbers: Array) -> Array:
    """The 64 bits of each float, or the integers."""
    return numbers.view(np.int64) if numbers.dtype == np.float64 else numbers


def _bits(number: Any) -> int:
    """The 64 bits of a float, or the integer."""
    return int(np.float64(number).view(np.int64)) if isinstance(number, float | np.floating) else int(number)
