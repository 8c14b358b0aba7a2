"""A register tile whose lanes are the terms of a sum: for few outputs, which would leave most of a vector empty.

`_simd.py`'s tile multiplies one number with a vector of outputs. Here both factors are vectors, of neighbouring inputs
and of their weights, and each output has a vector of its own; at the end they are added up across their lanes.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._dots import double_sum
from ._emitter import MASKED_ONLY, VECTOR_BYTES, Emitter, cases
from ._jit import kernel

MOST = 8  # outputs of a pixel
FEWER = 2  # eighths of its pixels that a tile may do without


@kernel
def outputs_of(lanes):
    """Return for how many outputs of a pixel there are tiles, where vectors have so many lanes."""
    return min(MOST, lanes // 2)


@kernel
def pixels_of(lanes, outputs, width):
    """Return how many pixels a tile takes: where there are such tiles, no more than share a row out evenly."""
    most = lanes // outputs
    tiles, step = (width + most - 1) // most, most // 8
    pixels = most
    for _ in range(FEWER):
        if (pixels - step) * tiles >= width:
            pixels -= step
    return pixels


@intrinsic
def dots(
    typingctx: Any, like: Any, pixels: Any, outputs: Any, outer: Any, inner: Any, x: Any, x_pixel: Any, x_row: Any,
    w: Any, y: Any, count: Any,
) -> Any:  # fmt: skip
    """y[p*outputs + o] = sum_{r < outer} sum_{i < inner} x[p*x_pixel + r*x_row + i] * w[r, i // L, o, i % L], L lanes.

    For p < pixels, of which only the first `count` outputs are written. `like`: any array of their type; x, w, y:
    addresses; strides in elements. pixels: as `pixels_of` says; outputs: up to `outputs_of(L)`; w is 0 from `inner`
    on, to a whole vector.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, pixels, outputs, outer, inner, x, x_pixel, x_row, w, y, count = values
        emit = Emitter(builder, signature.args[0].dtype.bitwidth)
        lanes, const = emit.lanes, emit.const
        x_pixel, x_row = (builder.mul(v, const(emit.bytes)) for v in (x_pixel, x_row))
        vectors = builder.sdiv(builder.add(inner, const(lanes - 1)), const(lanes))

        def tile(n: int, pixels: int) -> None:
            def add(left: Any, sums: list[Any], at: list[Any]) -> list[Any]:
                seen, weights = at
                factors, new = [emit.load(weights, o) for o in range(n)], []
                mask = None if left is None else emit.mask(left)
                for p in range(pixels):
                    vector = emit.load(seen, 0, mask)
                    seen = builder.add(seen, x_pixel)
                    new += [emit.fma(vector, factor, sums[p * n + o]) for o, factor in enumerate(factors)]
                return new

            step = const(n * VECTOR_BYTES)
            row = builder.mul(vectors, step)
            zero = emit.splat(0.0)
            sums = [zero] * (pixels * n)
            before, whole = builder.block, builder.sub(vectors, const(1))
            with builder.if_then(builder.icmp_signed(">", whole, const(0))):
                pointers = [(x, const(VECTOR_BYTES), x_row), (w, step, row)]
                found = double_sum(builder, outer, whole, pointers, sums, lambda at, sums: add(None, sums, at))
                after = builder.block
            sums = []
            for value in found:
                sums.append(builder.phi(emit.vector))
                sums[-1].add_incoming(zero, before)
                sums[-1].add_incoming(value, after)
            # What lies behind a row may be infinite: its last vector is masked.
            seen, weights = (builder.add(a, builder.mul(whole, by)) for a, by in ((x, const(VECTOR_BYTES)), (w, step)))
            ends = [(seen, const(0), x_row), (weights, const(0), row)]
            left = builder.sub(inner, builder.mul(whole, const(lanes)))
            sums = double_sum(builder, outer, const(1), ends, sums, lambda at, sums: add(left, sums, at))
            store_lanes(emit, across(emit, sums + [zero] * (lanes - len(sums))), y, count)

        shapes = {}
        for n in range(1, outputs_of.py_func(lanes) + 1):
            most = lanes // n
            for some in sorted({most - fewer * (most // 8) for fewer in range(FEWER + 1)}):
                shapes[n * lanes + some] = n, some
        for shape in cases(builder, builder.add(builder.mul(outputs, const(lanes)), pixels), shapes):
            tile(*shapes[shape])
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 10), codegen


def across(emit: Emitter, vectors: list[Any]) -> Any:
    """Emit a vector whose lanes are the sums over the lanes of each of the vectors, as many as it has lanes."""
    builder, lanes, apart = emit.builder, emit.lanes, 1
    while len(vectors) > 1:
        # Lanes whose number has this bit are the second vector's; a lane's other half is `apart` from it.
        own = [j + (lanes if j & apart else 0) for j in range(lanes)]
        other = [j + (lanes - apart if j & apart else apart) for j in range(lanes)]
        kept, moved = (ir.Constant(ir.VectorType(emit.i32, lanes), places) for places in (own, other))
        vectors = [
            builder.fadd(builder.shuffle_vector(a, b, kept), builder.shuffle_vector(a, b, moved))
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        apart *= 2
    return vectors[0]


def store_lanes(emit: Emitter, value: Any, address: Any, count: Any) -> None:
    """Emit the store of the first `count` lanes, or all."""
    builder = emit.builder
    if MASKED_ONLY:
        emit.store(value, address, 0, emit.mask(count))
        return
    with builder.if_else(builder.icmp_signed(">=", count, emit.const(emit.lanes))) as (whole, part):
        with whole:
            emit.store(value, address, 0)
        with part:
            emit.store_first([value], [address], count)
