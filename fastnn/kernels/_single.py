"""Register tiles for gradients behind 2x2 pooling, of which each window has one in a place of its own.

A quarter of the outputs' gradient is not 0. Image by image its places are known, so the products of the rest are left
out: a tile is a pixel's neighbourhood, with all its sums in the 32 registers of AVX-512; in 16 registers a part of them
at a time. Pixels have UNIT channels.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._emitter import MAX_ACCUMULATORS, VECTOR_BYTES, cases, mask_from_bits

UNIT = 8  # channels of a pixel, those that it lacks included; places count pixels
SIZES = (3, 5)  # taps along both axes
# Of the weights' gradient: sums in registers beside a factor, rows of taps and vectors of a row at once.
SUMS, MOST_TAPS, ACROSS = 12, 5, 5
# Of the input's: lanes, and rows of pixels whose sums are in registers at once.
WIDE, ROWS = min(2 * UNIT, VECTOR_BYTES // 4), 6 if MAX_ACCUMULATORS >= 18 else 2
_I64, _I32 = ir.IntType(64), ir.IntType(32)


class Vectors:
    """Emits loads, stores and multiply-adds of vectors of `lanes` float32 at addresses."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.vector = ir.VectorType(ir.FloatType(), lanes)

    def const(self, number: int) -> Any:
        return ir.Constant(_I64, number)

    def read(self, address: Any, kind: Any, align: int) -> Any:
        value = self.builder.load(self.builder.inttoptr(address, kind.as_pointer()))
        value.align = align
        return value

    def load(self, address: Any, mask: Any = None) -> Any:
        if mask is None:
            return self.read(address, self.vector, 4)
        pointer = self.builder.inttoptr(address, self.vector.as_pointer())
        function_type = ir.FunctionType(self.vector, [pointer.type, _I32, mask.type, self.vector])
        name = f"llvm.masked.load.v{self.lanes}f32.p0"
        function = cgutils.get_or_insert_function(self.builder.module, function_type, name)
        return self.builder.call(function, [pointer, ir.Constant(_I32, 4), mask, self.splat(0.0)])

    def mask(self, count: Any) -> Any:
        """The mask of the first `count` lanes."""
        return mask_from_bits(self.builder, count, self.lanes)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.builder.inttoptr(address, self.vector.as_pointer())).align = 4

    def spread(self, address: Any) -> Any:
        undefined, pattern = ir.Constant(self.vector, ir.Undefined), ir.Constant(ir.VectorType(_I32, self.lanes), None)
        first = self.builder.insert_element(undefined, self.read(address, ir.FloatType(), 4), ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, undefined, pattern)

    def splat(self, value: float) -> Any:
        return ir.Constant(self.vector, [value] * self.lanes)

    def spread_mask(self, bit: Any) -> Any:
        every, none = (ir.Constant(ir.VectorType(ir.IntType(1), self.lanes), [value] * self.lanes) for value in (1, 0))
        return self.builder.select(bit, every, none)

    def pixel(self, base: Any, place: Any) -> Any:
        """The address of the pixel that the uint16 at `place` names."""
        number = self.builder.zext(self.read(place, ir.IntType(16), 2), _I64)
        return self.builder.add(base, self.builder.mul(number, self.const(4 * UNIT)))

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        function_type = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f32"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, function_type, name), [a, b, c])

    def loop(self, name: str, count: Any, values: list[Any]) -> tuple[list[Any], Any]:
        """Begin a loop of `count` > 0 turns; return its values, and what takes those of the next turn and ends it."""
        builder, entry = self.builder, self.builder.block
        body, end = (builder.append_basic_block(s) for s in (name, f"{name}_end"))
        builder.branch(body)
        builder.position_at_end(body)
        turn, *held = [builder.phi(v.type) for v in (count, *values)]
        for phi, value in zip((turn, *held), (self.const(0), *values), strict=True):
            phi.add_incoming(value, entry)

        def again(*following: Any) -> None:
            after = builder.add(turn, self.const(1))
            for phi, value in zip((turn, *held), (after, *following), strict=True):
                phi.add_incoming(value, builder.block)
            builder.cbranch(builder.icmp_signed("<", after, count), body, end)
            builder.position_at_end(end)

        return held, again


@intrinsic
def single_weights(
    typingctx: Any, taps: Any, vectors: Any, windows: Any, step: Any, x: Any, x_row: Any, places: Any, dy: Any,
    sums: Any,
) -> Any:  # fmt: skip
    """sums[r, v] += the vector at x[places[i*step] + r*x_row + v*UNIT] * dy[i*step] for i < windows, r < taps.

    Of all v < vectors; taps * vectors are at most SUMS, windows an even number above 0. x, places (uint16), dy, sums:
    addresses; x_row in elements.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        taps, vectors, windows, step, x, x_row, places, dy, sums = values
        emit = Vectors(builder, UNIT)
        x_row = builder.mul(x_row, emit.const(4))

        def tile(rows: int, across: int) -> None:
            grid = [(r, v) for r in range(rows) for v in range(across)]
            together = 2 if 2 * len(grid) <= SUMS else 1  # windows: few sums would wait for themselves
            at = [builder.add(sums, emit.const(4 * UNIT * i)) for i in range(len(grid))]
            totals = [emit.load(address) for address in at] + [emit.splat(0.0)] * (len(grid) * (together - 1))
            turns = builder.sdiv(windows, emit.const(together))
            (place, value, *totals), again = emit.loop("windows", turns, [places, dy, *totals])
            for i in range(together):
                number = builder.zext(emit.read(place, ir.IntType(16), 2), _I64)
                row, factor = builder.add(x, builder.mul(number, emit.const(4))), emit.spread(value)
                for n, (_, v) in enumerate(grid, i * len(grid)):
                    seen = emit.load(builder.add(row, emit.const(4 * UNIT * v)))
                    totals[n] = emit.fma(factor, seen, totals[n])
                    if v + 1 == across:
                        row = builder.add(row, x_row)
                place, value = (builder.add(p, builder.mul(step, emit.const(n))) for p, n in ((place, 2), (value, 4)))
            again(place, value, *totals)
            for n, address in enumerate(at):
                whole = totals[n]
                for i in range(1, together):
                    whole = builder.fadd(whole, totals[i * len(grid) + n])
                emit.store(whole, address)

        shapes = [(rows, n) for rows in range(1, MOST_TAPS + 1) for n in range(1, min(ACROSS, SUMS // rows) + 1)]
        shape = builder.add(builder.mul(taps, emit.const(ACROSS + 1)), vectors)
        for number in cases(builder, shape, [rows * (ACROSS + 1) + n for rows, n in shapes]):
            tile(*divmod(number, ACROSS + 1))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 9), codegen


@intrinsic
def single_inputs(
    typingctx: Any, taps: Any, windows: Any, k: Any, w: Any, places: Any, dy: Any, dx: Any, dx_row: Any
) -> Any:
    """Add to a row of windows' pixels, 2 further on each time, the weights that `places` names times dy.

    dx[i, 2*q + j] += sum over k of w[places[q, k] + i*(taps + 1) + j] * dy[q, k] for i, j <= taps. w, places (uint16),
    dy, dx: addresses; dx_row in pixels.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        taps, windows, k, w, places, dy, dx, dx_row = values
        emit, vector, step = Vectors(builder, WIDE), 4 * WIDE, 2 * UNIT // WIDE
        dx_row = builder.mul(dx_row, emit.const(4 * UNIT))

        def tile(size: int) -> None:
            across = (size + 1) * UNIT // WIDE
            for top in range(0, size + 1, ROWS):
                rows(across, [(i, j) for i in range(top, min(top + ROWS, size + 1)) for j in range(across)])

        def rows(across: int, grid: list[tuple[int, int]]) -> None:
            def at(pixel: Any, i: int, j: int) -> Any:
                return builder.add(builder.add(pixel, builder.mul(dx_row, emit.const(i))), emit.const(vector * j))

            held = [emit.load(at(dx, i, j)) for i, j in grid if j + step < across]
            (pixel, place, value, *held), again = emit.loop("windows", windows, [dx, places, dy, *held])
            kept = iter(held)
            totals = [next(kept) if j + step < across else emit.load(at(pixel, i, j)) for i, j in grid]
            (p, v, *totals), next_output = emit.loop("outputs", k, [place, value, *totals])
            weights, factor = emit.pixel(w, p), emit.spread(v)
            totals = [
                emit.fma(factor, emit.load(builder.add(weights, emit.const(vector * (i * across + j)))), total)
                for (i, j), total in zip(grid, totals, strict=True)
            ]
            after = builder.add(p, emit.const(2)), builder.add(v, emit.const(4))
            next_output(*after, *totals)
            for (i, j), total in zip(grid, totals, strict=True):
                if j < step:
                    emit.store(total, at(pixel, i, j))
            held = [total for (_, j), total in zip(grid, totals, strict=True) if j >= step]
            further = builder.add(pixel, emit.const(step * vector))
            again(further, *after, *held)
            kept = iter(held)
            for i, j in grid:
                if j + step < across:
                    emit.store(next(kept), at(further, i, j))

        for size in cases(builder, taps, SIZES):
            tile(size)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 8), codegen


@intrinsic
def copy_unit(typingctx: Any, source: Any, to: Any) -> Any:
    """Copy UNIT float32 from an address to another."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        emit = Vectors(builder, UNIT)
        emit.store(emit.load(values[0]), values[1])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def placed(typingctx: Any, base: Any, place: Any, down: Any, along: Any) -> Any:
    """Return base, plus down where place is 2 or 3, plus along where it is 1 or 3: lanes of uint16."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        base, place, *steps = values
        some, zero = _is_some(builder, place), ir.Constant(place.type, None)
        for step, bit in zip(steps, (2, 1), strict=True):
            several = builder.and_(place, ir.Constant(place.type, [bit] * place.type.count))
            undefined = ir.Constant(place.type, ir.Undefined)
            first = builder.insert_element(undefined, builder.trunc(step, place.type.element), ir.Constant(_I32, 0))
            pattern = ir.Constant(ir.VectorType(_I32, place.type.count), [0] * place.type.count)
            moved = builder.and_(some, builder.icmp_unsigned("!=", several, zero))
            base = builder.add(base, builder.select(moved, builder.shuffle_vector(first, undefined, pattern), zero))
        return base

    return base(base, place, types.intp, types.intp), codegen


@intrinsic
def where_placed(typingctx: Any, place: Any, value: Any) -> Any:
    """Return `value` where place is one of 0 to 3, else 0."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.select(_is_some(builder, values[0]), values[1], context.get_constant_null(value))

    return value(place, value), codegen


def _is_some(builder: Any, place: Any) -> Any:
    return builder.icmp_unsigned("<", place, ir.Constant(place.type, [4] * place.type.count))
