"""Sums of a row of the input gradient of a kernel with one input channel, whose weights stay in registers.

`_terms.py`'s tile reads each gradient once for each tap, and mostly across the borders of cache lines, or copied. Here
each row is read once for each row of sums: a vector of gradients is multiplied with all taps while it is there. Of 3x3
kernels all weights are in registers. Of 5x5 kernels those of one vector are, whose lanes are outputs of one pixel or of
two: with 20 outputs, four pixels are five vectors, and the row is read for one of the five after another.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from ._emitter import MAX_ACCUMULATORS, VECTOR_BYTES, Emitter, cases
from ._terms import across, store_lanes

TAPS, MORE_TAPS = 3, 5
# Vectors of outputs: 18 weights, 6 sums and the gradients of a pixel in 32 registers; of 5x5 25, 5 and a vector
MOST = 2 if MAX_ACCUMULATORS >= 24 else 0


@intrinsic
def sweep(
    typingctx: Any, like: Any, vectors: Any, columns: Any, row0: Any, row1: Any, row2: Any, w: Any, sums: Any
) -> Any:
    """sums[j + s] = sum_{r < 3} row_r[j] * w[r, s] over all j < columns and s < 3, lane by lane, for K in vectors.

    `like`: any array of their type; rows (columns, K), w (3, 3, K) and sums (columns + 2, L) of L lanes: addresses.
    vectors: of K, up to MOST.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, vectors, columns, *rows, w, sums = values
        emit = Emitter(builder, signature.args[0].dtype.bitwidth)
        zero, count = emit.splat(0.0), 2 * (TAPS - 1)

        def row(n: int) -> None:
            weights = [
                [[emit.load(w, (TAPS * r + s) * n + v) for s in range(TAPS)] for v in range(n)] for r in range(TAPS)
            ]
            before = builder.block
            loop, after = builder.append_basic_block("columns"), builder.append_basic_block("after")
            builder.branch(loop)
            builder.position_at_end(loop)
            starts = [emit.const(0), sums, *rows, *[zero] * count]
            phis = [builder.phi(start.type) for start in starts]
            for phi, start in zip(phis, starts, strict=True):
                phi.add_incoming(start, before)
            j, to, *at = phis[:-count]
            found = [*phis[-count:], zero, zero]  # two sums of each pixel: one would wait for itself
            gradients = [(emit.load(at[r], v), weights[r][v]) for r in range(TAPS) for v in range(n)]
            for number, (gradient, factors) in enumerate(gradients):
                for i, factor in zip(range(number % 2, len(found), 2), factors, strict=True):
                    found[i] = emit.fma(gradient, factor, found[i])
            emit.store(builder.fadd(found[0], found[1]), to, 0)
            steps = [1, VECTOR_BYTES, *[n * VECTOR_BYTES] * TAPS]
            new = [builder.add(phi, emit.const(by)) for phi, by in zip(phis[:-count], steps, strict=True)]
            for phi, value in zip(phis, new + found[2:], strict=True):
                phi.add_incoming(value, builder.block)
            builder.cbranch(builder.icmp_signed("<", new[0], columns), loop, after)
            builder.position_at_end(after)
            for i in range(1, TAPS):
                emit.store(builder.fadd(*found[2 * i : 2 * i + 2]), new[1], i - 1)

        for n in cases(builder, vectors, range(1, MOST + 1)):
            row(n)
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 7), codegen


@intrinsic
def sweep_pixels(
    typingctx: Any, like: Any, turns: Any, step: Any, rows: Any, w: Any, border: Any, sums: Any, sums_step: Any
) -> Any:
    """sums[s] += sum_{r < 5} row_r[0] * w[r, s] in the first `border` lanes, sums[s + 1] in the others, for all s < 5.

    In each turn `step` bytes further in the rows, and `sums_step` in the sums. `like`: any array of their type; rows:
    five addresses; w (5, 5, L) and sums, vectors of L lanes: addresses.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, turns, step, rows, w, border, sums, sums_step = values
        emit = Emitter(builder, signature.args[0].dtype.bitwidth)
        taps, low = range(MORE_TAPS), emit.mask(border)
        high = builder.not_(low)
        weights = [[emit.load(w, MORE_TAPS * r + s) for s in taps] for r in taps]
        starts = [emit.const(0), sums, *(builder.extract_value(rows, r) for r in taps)]
        before, loop, after = builder.block, *(builder.append_basic_block(name) for name in ("turns", "after"))
        builder.branch(loop)
        builder.position_at_end(loop)
        number, to, *at = phis = [builder.phi(start.type) for start in starts]
        found = [emit.splat(0.0)] * MORE_TAPS
        for r in taps:
            gradient = emit.load(at[r], 0)
            found = [emit.fma(gradient, weights[r][s], found[s]) for s in taps]
        for s in range(MORE_TAPS + 1):
            value = emit.load(to, s)
            for mask, tap in ((low, s), (high, s - 1)):
                if tap in taps:
                    value = builder.select(mask, builder.fadd(value, found[tap]), value)
            emit.store(value, to, s)
        steps = [emit.const(1), sums_step, *[step] * MORE_TAPS]
        new = [builder.add(phi, by) for phi, by in zip(phis, steps, strict=True)]
        for phi, start, value in zip(phis, starts, new, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(value, builder.block)
        builder.cbranch(builder.icmp_signed("<", new[0], turns), loop, after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.void(like, turns, step, rows, w, border, sums, sums_step), codegen


@intrinsic
def add_lanes(typingctx: Any, like: Any, vectors: Any, y: Any, count: Any) -> Any:
    """y[i] = the sum over the lanes of vector i, for i < count, at most as many as vectors have lanes.

    vectors, y: addresses. As many vectors as they have lanes are read in any case.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        emit = Emitter(builder, signature.args[0].dtype.bitwidth)
        found = across(emit, [emit.load(values[1], i) for i in range(emit.lanes)])
        store_lanes(emit, found, values[2], values[3])
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 3), codegen
