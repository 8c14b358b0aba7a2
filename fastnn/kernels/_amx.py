"""Products of pairs of bf16 by AMX, whose one instruction adds 16 x 16 sums of 16 pairs each.

It has eight tiles of 16 rows of 64 bytes: here four of sums, two of A, with 16 rows' pairs of 16 terms, and two of B,
with 16 terms' pairs of 16 columns.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import struct
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._emitter import Emitter
from ._features import FEATURES
from ._jit import Primitive, kernel
from ._memory import stack
from ._simd import ACCUMULATE, RELU

ROWS = TERMS = COLUMNS = 16  # of a tile
ROW = 64  # bytes of a tile's row
TILE = ROWS * ROW
SQUARE = 4 * TILE
FIRST_A, SECOND_A, FIRST_B, SECOND_B = 4, 5, 6, 7  # tiles; those of sums are 0 to 3
HAS_AMX = "+amx-bf16" in FEATURES


def _emit(builder: Any, name: str, tiles: list[Any], operands: list[Any]) -> Any:
    """Emit an instruction on tiles, whose numbers are part of it."""
    arguments = [*(ir.Constant(ir.IntType(8), tile.literal_value) for tile in tiles), *operands]
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), arguments)


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.IntType(8).as_pointer())


def _palette() -> bytes:
    """What configures all tiles as ROWS rows of ROW bytes: Intel's manual, LDTILECFG."""
    return struct.pack("<2B14x16H16B", 1, 0, *[ROW] * 8, *[0] * 8, *[ROWS] * 8, *[0] * 8)


@intrinsic
def configure(typingctx: Any) -> Any:
    """Prepare the tiles, until `release`."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        value = ir.Constant(ir.ArrayType(ir.IntType(8), ROW), bytearray(_palette()))
        memory = cgutils.global_constant(builder.module, "palette", value)
        _emit(builder, "ldtilecfg", [], [builder.bitcast(memory, ir.IntType(8).as_pointer())])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def release(typingctx: Any) -> Any:
    """Give the tiles back, which the system saves and restores otherwise."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _emit(builder, "tilerelease", [], [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic(prefer_literal=True)
def clear(typingctx: Any, tile: Any) -> Any:
    """Fill a tile with zeros."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _emit(builder, "tilezero", [tile], [])
        return context.get_dummy_value()

    return types.void(tile), codegen


def _mover(name: str) -> Any:
    """Return the intrinsic (tile, address, step) that moves a tile's rows, `step` bytes apart in memory."""

    @intrinsic(prefer_literal=True)
    def move(typingctx: Any, tile: Any, address: Any, step: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            _emit(builder, name, [tile], [_pointer(builder, values[1]), values[2]])
            return context.get_dummy_value()

        return types.void(tile, types.intp, types.intp), codegen

    return move


load, save = _mover("tileloadd64"), _mover("tilestored64")


@intrinsic(prefer_literal=True)
def add_products(typingctx: Any, sums: Any, a: Any, b: Any) -> Any:
    """Add A @ B of the pairs in two tiles to a tile of sums."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _emit(builder, "tdpbf16ps", [sums, a, b], [])
        return context.get_dummy_value()

    return types.void(sums, a, b), codegen


@intrinsic
def write_row(typingctx: Any, sums: Any, start: Any, to: Any, columns: Any, relu: Any) -> Any:
    """to[j] = start[j] + sums[j] for j < columns, at most COLUMNS; with `relu` max(0, that). Addresses."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        emit = Emitter(builder, 32)
        sums, start, to, columns, relu = values
        mask = emit.mask(columns)
        value = builder.fadd(emit.load(sums, 0), emit.load(start, 0, mask))
        floor = builder.select(relu, emit.splat(0.0), emit.splat(float("-inf")))
        emit.store(builder.select(builder.fcmp_ordered("<", value, floor), floor, value), to, 0, mask)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4, types.boolean), codegen


def _row_of(value: int) -> Any:
    @intrinsic
    def row(typingctx: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = ir.ArrayType(ir.IntType(32), COLUMNS)
            constant = ir.Constant(kind, [value] * COLUMNS)
            memory = cgutils.global_constant(builder.module, f"row_of_{value}", constant)
            return builder.ptrtoint(memory, ir.IntType(64))

        return types.intp(), codegen

    return row


zeros, ones = _row_of(0), _row_of(0x3F803F80)  # the address of a row of zeros, and of pairs of 1


@kernel
def _sum(outer, middle, steps, a, a_row, a_step, a_outer, a_middle, down, b, b_middle, right):
    """Sum two by two tiles. down, right: bytes from the first rows of A and columns of B to the second, 0: none."""
    clear(0)
    clear(1)
    clear(2)
    clear(3)
    for o in range(outer):
        for p in range(middle):
            from_a, from_b = a + o * a_outer + p * a_middle, b + (o * middle + p) * b_middle
            for _ in range(steps):
                load(FIRST_B, from_b, ROW)
                load(FIRST_A, from_a, a_row)
                add_products(0, FIRST_A, FIRST_B)
                if right != 0:
                    load(SECOND_B, from_b + right, ROW)
                    add_products(1, FIRST_A, SECOND_B)
                if down != 0:
                    load(SECOND_A, from_a + down, a_row)
                    add_products(2, SECOND_A, FIRST_B)
                    if right != 0:
                        add_products(3, SECOND_A, SECOND_B)
                from_a += a_step
                from_b += TILE


@kernel
def _write(buffer, first, m, columns, start, start_row, c, c_row, relu, pitch, width):
    """Write the rows of a tile of sums, the first of which is row `first` of m."""
    place = first % pitch
    row = first // pitch * width + min(place, width)
    for i in range(min(ROWS, m - first)):
        if place < width:
            start_at = start + row * start_row if start != 0 else zeros()
            write_row(buffer + i * ROW, start_at, c + row * c_row, columns, relu)
            row += 1
        place += 1
        if place == pitch:
            place = 0


def _product(
    m: int, n: int, outer: int, middle: int, steps: int, a: int, a_row: int, a_step: int, a_outer: int, a_middle: int,
    b: int, b_middle: int, b_across: int, c: int, c_row: int, bias: int, flags: int, pitch: int, width: int,
) -> None:  # fmt: skip
    """C = start + A @ B for m rows and n columns.

    A's tiles: rows a_row apart; `steps` tiles of terms a_step apart, `middle` times, a_middle apart, `outer` times,
    a_outer apart; where a_step is a tile, those of ROWS rows lie one after the other. B's are dense `steps` times, then
    b_middle apart, in the order of terms, and b_across to the next COLUMNS columns. All in bytes.
    Of each `pitch` rows the first `width` are written, one after the other, to where rows are c_row apart.
    bias, flags: as those of `gemm`, without START. The caller has called `configure`.
    """
    memory, accumulate, relu = stack(SQUARE), flags & ACCUMULATE != 0, flags & RELU != 0
    a_down = steps * TILE if a_step == TILE else ROWS * a_row
    for i in range(0, m, 2 * ROWS):
        down = a_down if i + ROWS < m else 0
        for j in range(0, n, 2 * COLUMNS):
            right, to = b_across if j + COLUMNS < n else 0, c + j * 4
            _sum(outer, middle, steps, a + i // ROWS * a_down, a_row, a_step, a_outer, a_middle, down,
                 b + j // COLUMNS * b_across, b_middle, right)  # fmt: skip
            save(0, memory, ROW)
            save(1, memory + TILE, ROW)
            save(2, memory + 2 * TILE, ROW)
            save(3, memory + 3 * TILE, ROW)
            start, start_row = (to, c_row) if accumulate else (bias + j * 4 if bias != 0 else 0, 0)
            first, second = min(n - j, COLUMNS), n - j - COLUMNS
            for t in range(4):
                columns, beside = (second, COLUMNS * 4) if t % 2 == 1 else (first, 0)
                if columns > 0:
                    _write(memory + t * TILE, i + t // 2 * ROWS, m, columns, start + beside if start != 0 else 0,
                           start_row, to + beside, c_row, relu, pitch, width)  # fmt: skip


_PRODUCT = Primitive(_product, "product_amx", types.void(*[types.intp] * 19))


@intrinsic
def tile_product(
    typingctx: Any, m: Any, n: Any, outer: Any, middle: Any, steps: Any, a: Any, a_row: Any, a_step: Any, a_outer: Any,
    a_middle: Any, b: Any, b_middle: Any, b_across: Any, c: Any, c_row: Any, bias: Any, flags: Any, pitch: Any,
    width: Any,
) -> Any:  # fmt: skip
    """See `_product`."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function_type = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(_PRODUCT.declare(context, builder, function_type), values)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 19), codegen
