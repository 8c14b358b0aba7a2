"""Two more register tiles, whose lanes are images: `dots`, for weight gradients, and `pooled`, for pooled products.

`_simd.py`'s tile multiplies one number with a vector. Where lanes are images, a weight gradient is a sum of products of
vectors with vectors, and the last sum, over the lanes, can wait. A window of 2x2 products, which read the same weights,
is pooled before any of them is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._lanes import LANES

# `dots` has tiles of LEAST..ROWS rows, LEAST..COLUMNS columns, `pooled` of LEAST..CHANNELS channels: 24 sums, 4 pixels
# and a weight in the 32 registers of AVX-512. All numbers from LEAST on, but 5 = 4 + 1 columns, are sums of these.
LEAST, ROWS, COLUMNS, CHANNELS = 3, 5, 4, 6


def _double_sum(
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


@intrinsic
def dots(
    typingctx: Any, like: Any, rows: Any, columns: Any, outer: Any, inner: Any, a: Any, a_outer: Any, a_step: Any,
    b: Any, b_outer: Any, b_step: Any, c: Any, c_row: Any,
) -> Any:  # fmt: skip
    """C[i, j] += sum_o sum_k A[i + o*a_outer + k*a_step] * B[j + o*b_outer + k*b_step], lane by lane.

    a, b, c: addresses; outer, inner > 0; strides in elements of LANES numbers of `like`'s type.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, rows, columns, outer, inner, a, a_outer, a_step, b, b_outer, b_step, c, c_row = values
        i64 = ir.IntType(64)
        size = like.dtype.bitwidth // 8
        vector = ir.VectorType(context.get_value_type(like.dtype), LANES)
        a_outer, a_step, b_outer, b_step, c_row = (
            builder.mul(v, ir.Constant(i64, LANES * size)) for v in (a_outer, a_step, b_outer, b_step, c_row)
        )
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{LANES}f{8 * size}"
        )

        def pointer(base: Any, number: int) -> Any:
            at = builder.add(base, ir.Constant(i64, number * LANES * size))
            return builder.inttoptr(at, vector.as_pointer())

        def load(base: Any, number: int) -> Any:
            value = builder.load(pointer(base, number))
            value.align = size
            return value

        def tile(m: int, n: int) -> None:
            lines = [builder.add(c, builder.mul(c_row, ir.Constant(i64, i))) for i in range(m)]
            sums = [load(lines[i], j) for i in range(m) for j in range(n)]

            def terms(at: list[Any], sums: list[Any]) -> list[Any]:
                left, right = [load(at[0], i) for i in range(m)], [load(at[1], j) for j in range(n)]
                return [builder.call(fma, [left[i], right[j], sums[i * n + j]]) for i in range(m) for j in range(n)]

            pointers = [(a, a_step, a_outer), (b, b_step, b_outer)]
            new = _double_sum(builder, outer, inner, pointers, sums, terms)
            for number, value in enumerate(new):
                builder.store(value, pointer(lines[number // n], number % n)).align = size

        end = builder.append_basic_block("end")
        shape = builder.add(builder.mul(rows, ir.Constant(i64, COLUMNS + 1)), columns)
        switch = builder.switch(shape, end)
        for m in range(LEAST, ROWS + 1):
            for n in range(LEAST, COLUMNS + 1):
                block = builder.append_basic_block(f"dots_{m}x{n}")
                switch.add_case(ir.Constant(i64, m * (COLUMNS + 1) + n), block)
                builder.position_at_end(block)
                tile(m, n)
                builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 12), codegen


@intrinsic
def pooled(
    typingctx: Any, like: Any, places: Any, channels: Any, outer: Any, inner: Any, x: Any, x_row: Any, x_pixel: Any,
    w: Any, w_row: Any, bias: Any, rectify: Any, y: Any, index: Any,
) -> Any:  # fmt: skip
    """y[k] = f(the largest of 2x2 products + bias[k]) for k < channels; index[k]: which it is, 1 to 4, or 0: cut off.

    A product: sum_o sum_i x[o*x_row + i] * w[(o*inner + i)*w_row + k], at x, x_pixel and x_row after it, and both.
    x, w, bias (0: none), y, index: addresses; x_row, x_pixel: in elements of LANES numbers; f(y) = max(0, y) with
    `rectify`.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, _, channels, outer, inner, x, x_row, x_pixel, w, w_row, bias, rectify, y, index = values
        i64, i32 = ir.IntType(64), ir.IntType(32)
        size = like.dtype.bitwidth // 8
        scalar = context.get_value_type(like.dtype)
        vector = ir.VectorType(scalar, LANES)
        place_type = ir.VectorType(context.get_value_type(places.dtype), LANES)
        place_size = places.dtype.bitwidth // 8
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
                pixels = [load(builder.add(at[0], corner), 0, vector) for corner in corners]
                weights = [spread(load(at[1], channel * size, scalar)) for channel in range(n)]
                return [builder.call(fma, [weights[i // 4], pixels[i % 4], sums[i]]) for i in range(4 * n)]

            pointers = [(x, ir.Constant(i64, LANES * size), x_row), (w, w_row, builder.mul(w_row, inner))]
            new = _double_sum(builder, outer, inner, pointers, [zero] * (4 * n), terms)
            found = []
            for channel in range(n):
                best, place = new[4 * channel], ir.Constant(place_type, [1] * LANES)
                for i in range(1, 4):
                    value = new[4 * channel + i]
                    greater = builder.fcmp_unordered(">", value, best)  # true where either is NaN
                    take = builder.and_(greater, builder.fcmp_ordered("ord", best, best))
                    best = builder.select(take, value, best)
                    place = builder.select(take, ir.Constant(place_type, [i + 1] * LANES), place)
                found.append((best, place))
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
                place = builder.select(kept, place, ir.Constant(place_type, [0] * LANES))
                builder.store(builder.select(kept, value, zero), access(y, i * LANES * size, vector)).align = size
                builder.store(place, access(index, i * LANES * place_size, place_type)).align = place_size

        end = builder.append_basic_block("end")
        switch = builder.switch(channels, end)
        for n in range(LEAST, CHANNELS + 1):
            block = builder.append_basic_block(f"pooled_{n}")
            switch.add_case(ir.Constant(i64, n), block)
            builder.position_at_end(block)
            tile(n)
            builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(like, places, *[types.intp] * 12), codegen
