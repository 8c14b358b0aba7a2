"""A register tile whose lanes are images, for products that are pooled: a window of 2x2 reads the same weights.

`_simd.py`'s tile multiplies one number with a vector, and stores all that it computes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._emitter import MAX_ACCUMULATORS, VECTOR_BYTES, cases

LANES = VECTOR_BYTES // 4  # images
# Channels of a tile: 24 sums, 4 pixels and a weight in 32 registers, or 12 sums in 16. All numbers from the least on
# are sums of these.
LEAST_CHANNELS, CHANNELS = (3, 6) if MAX_ACCUMULATORS >= 24 else (2, 3)


def double_sum(
    builder: Any, outer: Any, inner: Any, pointers: list[tuple[Any, Any, Any]], sums: list[Any],
    terms: Callable[[list[Any], list[Any]], list[Any]],
) -> list[Any]:  # fmt: skip
    """Emit `sums` plus the terms of outer x inner turns, both above 0. pointers: start, step, and step of `outer`."""
    one, nothing = (ir.Constant(outer.type, n) for n in (1, 0))
    starts, steps, jumps = ([pointer[i] for pointer in pointers] for i in range(3))
    entry = builder.block
    outside, inside, after, done = (builder.append_basic_block(s) for s in ("outer", "inner", "after", "done"))

    def phis(values: list[Any], source: Any) -> list[Any]:
        made = [builder.phi(value.type) for value in values]
        for phi, value in zip(made, values, strict=True):
            phi.add_incoming(value, source)
        return made

    def again(made: list[Any], values: list[Any], loop: Any, end: Any, stop: Any) -> None:
        """Go round with these values, the first of which counts, or on to `end`."""
        for phi, value in zip(made, values, strict=True):
            phi.add_incoming(value, builder.block)
        builder.cbranch(builder.icmp_signed("<", values[0], stop), loop, end)

    def moved(at: list[Any], by: list[Any]) -> list[Any]:
        return [builder.add(place, step) for place, step in zip(at, by, strict=True)]

    count = len(pointers) + 1
    builder.branch(outside)
    builder.position_at_end(outside)
    row = phis([nothing, *starts, *sums], entry)
    builder.branch(inside)
    builder.position_at_end(inside)
    turn = phis([nothing, *row[1:]], outside)
    new = terms(turn[1:count], turn[count:])
    again(turn, [builder.add(turn[0], one), *moved(turn[1:count], steps), *new], inside, after, inner)
    builder.position_at_end(after)
    again(row, [builder.add(row[0], one), *moved(row[1:count], jumps), *new], outside, done, outer)
    builder.position_at_end(done)
    return new


def largest(builder: Any, values: list[Any], places: Any, first: int) -> tuple[Any, Any]:
    """Emit the largest of the values, or the first NaN, and its number from `first` on, of the type `places`."""
    best, place = values[0], ir.Constant(places, [first] * places.count)
    for i, value in enumerate(values[1:], first + 1):
        greater = builder.fcmp_unordered(">", value, best)  # true where either is NaN
        take = builder.and_(greater, builder.fcmp_ordered("ord", best, best))
        best = builder.select(take, value, best)
        place = builder.select(take, ir.Constant(places, [i] * places.count), place)
    return best, place


@intrinsic
def pooled(
    typingctx: Any, like: Any, channels: Any, outer: Any, inner: Any, x: Any, x_row: Any, x_pixel: Any,
    w: Any, w_row: Any, bias: Any, rectify: Any, y: Any, places: Any,
) -> Any:  # fmt: skip
    """y[k] = f(the largest of 2x2 products + bias[k]) for k < channels; `places` bytes further on which it is.

    That is 0 to 3 in the 32 bits of a lane, or 65535: cut off.

    A product: sum_o sum_i x[o*x_row + i] * w[(o*inner + i)*w_row + k], at x, x_pixel and x_row after it, and both.
    x, w, bias (0: none), y: addresses; x_row, x_pixel: in elements of LANES numbers; f(y) = max(0, y) with
    `rectify`.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, channels, outer, inner, x, x_row, x_pixel, w, w_row, bias, rectify, y, places = values
        i64, i32 = ir.IntType(64), ir.IntType(32)
        size = like.dtype.bitwidth // 8
        scalar = context.get_value_type(like.dtype)
        vector = ir.VectorType(scalar, LANES)
        whole = ir.VectorType(i32, LANES)
        x_row, x_pixel = (builder.mul(v, ir.Constant(i64, LANES * size)) for v in (x_row, x_pixel))
        w_row = builder.mul(w_row, ir.Constant(i64, size))
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{LANES}f{8 * size}"
        )
        zero = ir.Constant(vector, [0.0] * LANES)
        has_bias = builder.icmp_signed("!=", bias, ir.Constant(i64, 0))
        linear = builder.icmp_signed("==", rectify, ir.Constant(i64, 0))

        def spread(value: Any) -> Any:
            undefined = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
            first = builder.insert_element(undefined, value, ir.Constant(i32, 0))
            return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(i32, LANES), [0] * LANES))

        def access(base: Any, offset: int, kind: Any) -> Any:
            return builder.inttoptr(builder.add(base, ir.Constant(i64, offset)), kind.as_pointer())

        def load(base: Any, offset: int, kind: Any) -> Any:
            value = builder.load(access(base, offset, kind))
            value.align = size
            return value

        def tile(n: int) -> None:
            corners = [ir.Constant(i64, 0), x_pixel, x_row, builder.add(x_row, x_pixel)]

            def terms(at: list[Any], sums: list[Any]) -> list[Any]:
                weights = [spread(load(at[1], channel * size, scalar)) for channel in range(n)]
                columns = []  # one pixel after another: four at once would be one too many for 16 registers
                for i, corner in enumerate(corners):
                    pixel = load(builder.add(at[0], corner), 0, vector)
                    columns.append([builder.call(fma, [w, pixel, sums[4 * j + i]]) for j, w in enumerate(weights)])
                return [columns[i % 4][i // 4] for i in range(4 * n)]

            pointers = [(x, ir.Constant(i64, LANES * size), x_row), (w, w_row, builder.mul(w_row, inner))]
            new = double_sum(builder, outer, inner, pointers, [zero] * (4 * n), terms)
            found = [largest(builder, new[4 * channel : 4 * channel + 4], whole, 0) for channel in range(n)]
            plain = builder.block
            biased, ready = builder.append_basic_block("biased"), builder.append_basic_block("ready")
            builder.cbranch(has_bias, biased, ready)
            builder.position_at_end(biased)
            sums = [builder.fadd(best, spread(load(bias, i * size, scalar))) for i, (best, _) in enumerate(found)]
            builder.branch(ready)
            builder.position_at_end(ready)
            for i, (best, place) in enumerate(found):
                value = builder.phi(vector)
                value.add_incoming(best, plain)
                value.add_incoming(sums[i], biased)
                found[i] = value, place
            for i, (value, place) in enumerate(found):
                kept = builder.or_(builder.fcmp_unordered(">", value, zero), spread(linear))
                place = builder.select(kept, place, ir.Constant(whole, [65535] * LANES))
                at = builder.add(y, ir.Constant(i64, i * LANES * size))
                builder.store(builder.select(kept, value, zero), access(at, 0, vector)).align = size
                builder.store(place, access(builder.add(at, places), 0, whole)).align = size

        for n in cases(builder, channels, range(LEAST_CHANNELS, CHANNELS + 1)):
            tile(n)
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 12), codegen
