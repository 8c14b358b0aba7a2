"""Two more register tiles, whose lanes are images: `dots`, for weight gradients, and `pooled`, for pooled products.

`_simd.py`'s tile multiplies one number with a vector. Where lanes are images, a weight gradient is a sum of products of
vectors with vectors, and the last sum, over the lanes, can wait. A window of 2x2 products, which read the same weights,
is pooled before any of them is stored.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._lanes import LANES

# `dots` has tiles of LEAST..ROWS rows, LEAST..COLUMNS columns, `pooled` of LEAST..CHANNELS channels: 24 sums, 4 pixels
# and a weight in the 32 registers of AVX-512. All numbers from LEAST on, but 5 = 4 + 1 columns, are sums of these.
LEAST, ROWS, COLUMNS, CHANNELS = 3, 5, 4, 6


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
            entry = builder.block
            outside, inside, after, done = (builder.append_basic_block(s) for s in ("outer", "inner", "after", "done"))
            builder.branch(outside)
            builder.position_at_end(outside)
            o, a_from, b_from = (builder.phi(i64) for _ in range(3))
            held = [builder.phi(vector) for _ in sums]
            begin = [o, a_from, b_from, *held]
            for phi, value in zip(begin, [ir.Constant(i64, 0), a, b, *sums], strict=True):
                phi.add_incoming(value, entry)
            builder.branch(inside)
            builder.position_at_end(inside)
            k, a_at, b_at = (builder.phi(i64) for _ in range(3))
            acc = [builder.phi(vector) for _ in sums]
            state = [k, a_at, b_at, *acc]
            for phi, value in zip(state, [ir.Constant(i64, 0), a_from, b_from, *held], strict=True):
                phi.add_incoming(value, outside)
            left = [load(a_at, i) for i in range(m)]
            right = [load(b_at, j) for j in range(n)]
            new = [builder.call(fma, [left[i], right[j], acc[i * n + j]]) for i in range(m) for j in range(n)]
            following = builder.add(k, ir.Constant(i64, 1))
            steps = [following, builder.add(a_at, a_step), builder.add(b_at, b_step), *new]
            for phi, value in zip(state, steps, strict=True):
                phi.add_incoming(value, inside)
            builder.cbranch(builder.icmp_signed("<", following, inner), inside, after)
            builder.position_at_end(after)
            following = builder.add(o, ir.Constant(i64, 1))
            steps = [following, builder.add(a_from, a_outer), builder.add(b_from, b_outer), *new]
            for phi, value in zip(begin, steps, strict=True):
                phi.add_incoming(value, after)
            builder.cbranch(builder.icmp_signed("<", following, outer), outside, done)
            builder.position_at_end(done)
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
            entry = builder.block
            outside, inside, after, done = (builder.append_basic_block(s) for s in ("outer", "inner", "after", "done"))
            builder.branch(outside)
            builder.position_at_end(outside)
            o, x_from, w_from = (builder.phi(i64) for _ in range(3))
            held = [builder.phi(vector) for _ in range(4 * n)]
            begin = [o, x_from, w_from, *held]
            for phi, value in zip(begin, [ir.Constant(i64, 0), x, w, *[zero] * (4 * n)], strict=True):
                phi.add_incoming(value, entry)
            builder.branch(inside)
            builder.position_at_end(inside)
            k, x_at, w_at = (builder.phi(i64) for _ in range(3))
            acc = [builder.phi(vector) for _ in held]
            state = [k, x_at, w_at, *acc]
            for phi, value in zip(state, [ir.Constant(i64, 0), x_from, w_from, *held], strict=True):
                phi.add_incoming(value, outside)
            pixels = [load(builder.add(x_at, corner), 0, vector) for corner in corners]
            new = []
            for channel in range(n):
                weight = spread(load(w_at, channel * size, scalar))
                new += [builder.call(fma, [weight, pixels[i], acc[4 * channel + i]]) for i in range(4)]
            following = builder.add(k, ir.Constant(i64, 1))
            w_next = builder.add(w_at, w_row)
            steps = [following, builder.add(x_at, ir.Constant(i64, LANES * size)), w_next, *new]
            for phi, value in zip(state, steps, strict=True):
                phi.add_incoming(value, inside)
            builder.cbranch(builder.icmp_signed("<", following, inner), inside, after)
            builder.position_at_end(after)
            following = builder.add(o, ir.Constant(i64, 1))
            steps = [following, builder.add(x_from, x_row), w_next, *new]
            for phi, value in zip(begin, steps, strict=True):
                phi.add_incoming(value, after)
            builder.cbranch(builder.icmp_signed("<", following, outer), outside, done)
            builder.position_at_end(done)
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
