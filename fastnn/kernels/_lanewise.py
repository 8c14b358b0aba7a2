"""Winograd's F(2x2, 5x5) with images as lanes: transforms, and products, whose 2x2 outputs may be pooled in registers.

36 products instead of 100, and a tile of outputs is a window of pooling. Vectors have WIDTH images, those of weights
WIDTH outputs; a tile of inputs lies as (6 columns, C, 6 rows) vectors, its weights too.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._dots import largest
from ._emitter import MAX_ACCUMULATORS, VECTOR_BYTES
from ._lanes import LANES, Lanes
from ._single import Vectors
from ._transforms import INPUT, OUTPUT, WEIGHTS, matrices, transformed

TAPS, SIDE, WINDOW = 5, 6, 2  # of weights, inputs and outputs, along both axes
WIDTH = min(LANES, VECTOR_BYTES // 4)  # of a vector
TILES, OUTPUTS = 2, 2  # that lane_products takes at once
ROWS = 6 if MAX_ACCUMULATORS >= 24 else 3  # of their sums at once: 24 or 12
FOUR, PART = TILES * OUTPUTS, TILES * OUTPUTS * WINDOW
BYTES = 4 * WIDTH
_MATRICES = matrices(WINDOW, TAPS)
_I64 = ir.IntType(64)


def _times(builder: Any, value: Any, number: int) -> Any:
    return builder.mul(value, ir.Constant(_I64, number))


@intrinsic
def lane_weights(typingctx: Any, w: Any, w_tap: Any, count: Any, u: Any, u_column: Any) -> Any:
    """Transform the 5x5 weights at w, w_tap apart, of one channel and `count` outputs, up to WIDTH.

    w, u: addresses; w_tap: elements, u_column: vectors between columns of u.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        w, w_tap, count, u, u_column = values
        emit, matrices = Vectors(builder, WIDTH), _MATRICES[WEIGHTS]
        mask = emit.mask(count)
        taps = [[emit.load(builder.add(w, _times(builder, w_tap, 4 * (r * TAPS + s))), mask) for r in range(TAPS)]
                for s in range(TAPS)]  # fmt: skip
        columns = [transformed(emit, matrices, column) for column in taps]
        for i in range(SIDE):
            for j, value in enumerate(transformed(emit, matrices, [column[i] for column in columns])):
                at = builder.add(u, _times(builder, u_column, j * BYTES))
                emit.store(value, builder.add(at, emit.const(i * BYTES)))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), codegen


@intrinsic
def lane_columns(typingctx: Any, x: Any, x_row: Any, x_column: Any, wide: Any, z: Any) -> Any:
    """Transform `wide` columns of 6 pixels of one channel; z: (wide, 6) vectors. Addresses; steps in vectors."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x, x_row, x_column, wide, z = values
        emit = Vectors(builder, WIDTH)
        x_row = _times(builder, x_row, BYTES)
        (pixel, to), again = emit.loop("columns", wide, [x, z])
        places = [pixel]
        for _ in range(SIDE - 1):
            places.append(builder.add(places[-1], x_row))
        pixels = [emit.load(place) for place in places]
        for i, value in enumerate(transformed(emit, _MATRICES[INPUT], pixels)):
            emit.store(value, builder.add(to, emit.const(i * BYTES)))
        again(builder.add(pixel, _times(builder, x_column, BYTES)), builder.add(to, emit.const(SIDE * BYTES)))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), codegen


@intrinsic
def lane_tile(typingctx: Any, z: Any, v: Any, v_column: Any) -> Any:
    """Transform the rows of the 6 columns at z into one channel of a tile. Addresses; v_column in vectors."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        z, v, v_column = values
        emit = Vectors(builder, WIDTH)
        columns = [builder.add(v, _times(builder, v_column, j * BYTES)) for j in range(SIDE)]
        for i in range(SIDE):
            row = [emit.load(builder.add(z, emit.const((j * SIDE + i) * BYTES))) for j in range(SIDE)]
            for j, value in enumerate(transformed(emit, _MATRICES[INPUT], row)):
                emit.store(value, builder.add(columns[j], emit.const(i * BYTES)))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 3), codegen


@intrinsic
def lane_products(typingctx: Any, pairs: Any, c: Any, v0: Any, v1: Any, u: Any, sums: Any) -> Any:
    """Products of two tiles with the weights at u of `pairs` outputs, transformed along columns; see `lane_windows`.

    Addresses; sums: (pairs, 6, 2 tiles, 2 outputs, 2) vectors. Columns are the outer loop, whose operands stay in L1.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pairs, c, v0, v1, u, sums = values
        emit, matrices = Vectors(builder, WIDTH), _MATRICES[OUTPUT]
        column, part = _times(builder, c, SIDE * BYTES), PART * BYTES
        (to, *at), next_column = emit.loop("column", emit.const(SIDE), [sums, v0, v1, u])
        (line, weights), next_pair = emit.loop("pair", pairs, [to, at[TILES]])
        totals: list[Any] = [None] * (FOUR * SIDE)
        for top in range(0, SIDE, ROWS):
            rows, zeros = range(top, top + ROWS), [emit.splat(0.0)] * (FOUR * ROWS)
            some = [n * SIDE + i for n in range(FOUR) for i in rows]
            held, next_channel = emit.loop("channel", c, [*at[:TILES], weights, *zeros])
            pointers = held[: TILES + 1]
            for n, total in zip(some, held[TILES + 1 :], strict=True):
                totals[n] = total
            tiles = [[emit.load(builder.add(tile, emit.const(i * BYTES))) for i in rows] for tile in pointers[:TILES]]
            for i in rows:
                for k in range(OUTPUTS):
                    weight = emit.spread(builder.add(pointers[TILES], emit.const(i * BYTES + 4 * k)))
                    for tile in range(TILES):
                        n = (tile * OUTPUTS + k) * SIDE + i
                        totals[n] = emit.fma(weight, tiles[tile][i - top], totals[n])
            further = [builder.add(pointer, emit.const(SIDE * BYTES)) for pointer in pointers]
            next_channel(*further, *[totals[n] for n in some])
        for n in range(FOUR):
            for i, value in enumerate(transformed(emit, matrices, totals[n * SIDE : (n + 1) * SIDE])):
                emit.store(value, builder.add(line, emit.const((n * WINDOW + i) * BYTES)))
        next_pair(builder.add(line, emit.const(SIDE * part)), builder.add(weights, emit.const(4 * OUTPUTS)))
        next_column(builder.add(to, emit.const(part)), *[builder.add(pointer, column) for pointer in at])
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6), codegen


def _tile(emit: Vectors, line: Any, number: int) -> list[Any]:
    """The 2x2 outputs, rows one after the other, of tile and output number 0 to 3 of the sums at `line`."""
    outputs = []
    for i in range(WINDOW):
        parts = [emit.const((j * PART + number * WINDOW + i) * BYTES) for j in range(SIDE)]
        row = [emit.load(emit.builder.add(line, part)) for part in parts]
        outputs += transformed(emit, _MATRICES[OUTPUT], row)
    return outputs


def _positive(emit: Vectors, value: Any, linear: Any) -> Any:
    """The mask of where f(y) = max(0, y) keeps the value, NaN too; all where `linear` is true."""
    return emit.builder.or_(emit.builder.fcmp_unordered(">", value, emit.splat(0.0)), linear)


@intrinsic
def lane_windows(
    typingctx: Any, pairs: Any, sums: Any, bias: Any, rectify: Any, y0: Any, y1: Any, places: Any
) -> Any:
    """y = f(the largest of 2x2 + bias) of two tiles for `pairs` outputs; `places` bytes further on which it is.

    That is 0 to 3 in the 32 bits of a lane, or 65535: cut off by f(y) = max(0, y) of `rectify`. Addresses.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pairs, sums, bias, rectify, y0, y1, places = values
        emit = Vectors(builder, WIDTH)
        whole = ir.VectorType(ir.IntType(32), WIDTH)
        linear = emit.spread_mask(builder.icmp_signed("==", rectify, emit.const(0)))
        (line, shift, *to), again = emit.loop("pair", pairs, [sums, bias, y0, y1])
        for n in range(FOUR):
            best, place = largest(builder, _tile(emit, line, n), whole, 0)
            best = builder.fadd(best, emit.spread(builder.add(shift, emit.const(4 * (n % OUTPUTS)))))
            kept = _positive(emit, best, linear)
            best = builder.select(kept, best, emit.splat(0.0))
            place = builder.select(kept, place, ir.Constant(whole, [65535] * WIDTH))
            at = builder.add(to[n // OUTPUTS], emit.const(n % OUTPUTS * BYTES))
            emit.store(best, at)
            emit.store(builder.bitcast(place, emit.vector), builder.add(at, places))
        further = [builder.add(pointer, emit.const(OUTPUTS * BYTES)) for pointer in to]
        again(builder.add(line, emit.const(SIDE * PART * BYTES)), builder.add(shift, emit.const(4 * OUTPUTS)), *further)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 7), codegen


@intrinsic
def lane_outputs(
    typingctx: Any, pairs: Any, sums: Any, bias: Any, rectify: Any, y0: Any, y1: Any, row: Any, column: Any
) -> Any:
    """y = f(the 2x2 outputs + bias) of two tiles for `pairs` outputs; see `lane_windows`. row, column: bytes."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pairs, sums, bias, rectify, y0, y1, row, column = values
        emit = Vectors(builder, WIDTH)
        linear = emit.spread_mask(builder.icmp_signed("==", rectify, emit.const(0)))
        (line, shift, *to), again = emit.loop("pair", pairs, [sums, bias, y0, y1])
        for n in range(FOUR):
            added = emit.spread(builder.add(shift, emit.const(4 * (n % OUTPUTS))))
            at = builder.add(to[n // OUTPUTS], emit.const(n % OUTPUTS * BYTES))
            first, second = at, builder.add(at, row)
            places = first, builder.add(first, column), second, builder.add(second, column)
            for value, place in zip(_tile(emit, line, n), places, strict=True):
                total = builder.fadd(value, added)
                emit.store(builder.select(_positive(emit, total, linear), total, emit.splat(0.0)), place)
        further = [builder.add(pointer, emit.const(OUTPUTS * BYTES)) for pointer in to]
        again(builder.add(line, emit.const(SIDE * PART * BYTES)), builder.add(shift, emit.const(4 * OUTPUTS)), *further)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 8), codegen


@intrinsic
def narrowed(typingctx: Any, value: Any, like: Any) -> Any:
    """Return the integers in the 32 bits of each lane, cut to those of the array `like`."""
    lanes = Lanes(like.dtype)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        bits = builder.bitcast(values[0], ir.VectorType(ir.IntType(32), LANES))
        return builder.trunc(bits, context.get_value_type(lanes))

    return lanes(value, like), codegen
