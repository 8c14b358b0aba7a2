"""Register tiles whose lanes are outputs, for 3x3 convolutions with 2x2 pooling on few channels (see picked.py)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._dots import double_sum, largest
from ._emitter import MAX_ACCUMULATORS, VECTOR_BYTES, cases
from ._single import Vectors

TAPS = 3
LANES = VECTOR_BYTES // 4
HAS_PICKS = LANES > 4  # AVX and more have the instruction that picks
FEW = 3  # channels, of which the pixels of LANES // 4 windows lie in a vector
# Vectors of outputs, and windows of a row, that a tile takes at once, and those of the weight gradient's, whose 10 sums
# each fit into the registers.
VECTORS, WINDOWS, SUMMED = (2, 2, 2) if MAX_ACCUMULATORS >= 24 else (2, 1, 1)
QUAD = 4  # pixels of a window, which lie together
_BYTES, _PLACE = 4 * LANES, 2 * LANES  # of a vector, and of its places
_I64, _I32 = ir.IntType(64), ir.IntType(32)
_PLACES, _WHOLE = (ir.VectorType(ir.IntType(bits), LANES) for bits in (16, 32))


class _Outputs(Vectors):
    """Emits access to neighbouring vectors of outputs, or of their places in windows."""

    def load_all(self, count: int, address: Any) -> list[Any]:
        return [self.load(self.builder.add(address, self.const(_BYTES * j))) for j in range(count)]

    def load_places(self, count: int, address: Any) -> list[Any]:
        return [self.read(self.builder.add(address, self.const(_PLACE * j)), _PLACES, 2) for j in range(count)]

    def store_all(self, values: list[Any], address: Any) -> None:
        step, align = (_PLACE, 2) if values[0].type == _PLACES else (_BYTES, 4)
        for j, value in enumerate(values):
            at = self.builder.add(address, self.const(step * j))
            self.builder.store(value, self.builder.inttoptr(at, value.type.as_pointer())).align = align


def _for_sizes(builder: Any, sizes: list[tuple[Any, int]], tile: Any, chosen: tuple[int, ...] = ()) -> None:
    """Emit tile(*numbers) for each of the numbers from 1 to its most that the values may be."""
    if not sizes:
        tile(*chosen)
        return
    (value, most), *others = sizes
    for number in cases(builder, value, range(1, most + 1)):
        _for_sizes(builder, others, tile, (*chosen, number))


@intrinsic
def picked_windows(
    typingctx: Any, vectors: Any, windows: Any, c: Any, x: Any, x_row: Any, w: Any, w_row: Any, bias: Any,
    rectify: Any, y: Any, index: Any, k: Any,
) -> Any:  # fmt: skip
    """y[j*k + i] = f(the largest of 2x2 products + bias[i]), index: which it is, for j < windows and all vectors i.

    A product: sum_r sum_s x[r*x_row + s] * w[(r*3*c + s)*w_row + i], s < 3*c, at x + 2*j*c, c, x_row and both after it.
    index: 0 to 3, or 65535, cut off by f(y) = max(0, y) of `rectify`. x, w, bias (0: none), y, index: addresses.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vectors, windows, c, x, x_row, w, w_row, bias, rectify, y, index, k = values
        row, pixel, weight, taps = (builder.mul(v, ir.Constant(_I64, n)) for v, n in
                                    ((x_row, 4), (c, 4), (w_row, 4), (c, TAPS)))  # fmt: skip
        has_bias = builder.icmp_signed("!=", bias, ir.Constant(_I64, 0))

        def tile(several: int, along: int) -> None:
            emit = _Outputs(builder, LANES)
            corners = [emit.const(0), pixel, row, builder.add(row, pixel)]
            steps = [builder.mul(pixel, emit.const(2 * j)) for j in range(along)]

            def terms(at: list[Any], sums: list[Any]) -> list[Any]:
                weights = emit.load_all(several, at[1])
                found: list[Any] = []
                for j in range(along):
                    window = builder.add(at[0], steps[j])
                    for corner in corners:
                        seen = emit.spread(builder.add(window, corner))
                        found += [emit.fma(seen, v, sums[len(found) + i]) for i, v in enumerate(weights)]
                return found

            pointers = [(x, emit.const(4), row), (w, weight, builder.mul(weight, taps))]
            sums = double_sum(
                builder, emit.const(TAPS), taps, pointers, [emit.splat(0.0)] * (QUAD * several * along), terms
            )
            plain = builder.block
            biased, ready = builder.append_basic_block("biased"), builder.append_basic_block("ready")
            builder.cbranch(has_bias, biased, ready)
            builder.position_at_end(biased)
            given = emit.load_all(several, bias)
            builder.branch(ready)
            builder.position_at_end(ready)
            shifts = [builder.phi(emit.vector) for _ in given]
            for phi, value in zip(shifts, given, strict=True):
                phi.add_incoming(emit.splat(-0.0), plain)  # x + -0 is x, of -0 too
                phi.add_incoming(value, biased)
            linear = emit.spread_mask(builder.icmp_signed("==", rectify, emit.const(0)))
            for j in range(along):
                window = sums[j * QUAD * several : (j + 1) * QUAD * several]
                outputs, places = [], []
                for i in range(several):
                    best, place = largest(builder, window[i::several], _WHOLE, 0)  # lanes as wide as the numbers'
                    best = builder.fadd(best, shifts[i])
                    kept = builder.or_(builder.fcmp_unordered(">", best, emit.splat(0.0)), linear)
                    outputs.append(builder.select(kept, best, emit.splat(0.0)))
                    place = builder.select(kept, place, ir.Constant(_WHOLE, [65535] * LANES))
                    places.append(builder.trunc(place, _PLACES))
                further = builder.mul(k, emit.const(j))
                emit.store_all(outputs, builder.add(y, builder.mul(further, emit.const(4))))
                emit.store_all(places, builder.add(index, builder.mul(further, emit.const(2))))

        _for_sizes(builder, [(vectors, VECTORS), (windows, WINDOWS)], tile)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 12), codegen


@intrinsic
def make_quads(typingctx: Any, c: Any, count: Any, x: Any, x_row: Any, to: Any) -> Any:
    """to[i] = the 2x2 pixels x[i], x[i + 1] and the same of the next row for i < count, count > 0: of one channel.

    x: (2, x_row, c) from that channel on, to: (count, 4). Addresses. Of each row LANES numbers are read after the last,
    and count is as if rounded up to a vector of `to`.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        c, count, x, x_row, to = values

        def quads(channels: int) -> None:
            emit = Vectors(builder, LANES)
            together = LANES // QUAD
            order = [
                (i + side) * channels + LANES * below for i in range(together) for below in (0, 1) for side in (0, 1)
            ]
            turns = builder.sdiv(builder.add(count, emit.const(together - 1)), emit.const(together))
            (above, quad), again = emit.loop("quads", turns, [x, to])
            below = builder.add(above, builder.mul(x_row, emit.const(4 * channels)))
            pattern = ir.Constant(ir.VectorType(_I32, LANES), order)
            emit.store(builder.shuffle_vector(emit.load(above), emit.load(below), pattern), quad)
            again(builder.add(above, emit.const(4 * together * channels)), builder.add(quad, emit.const(_BYTES)))

        _for_sizes(builder, [(c, FEW)], quads)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), codegen


@intrinsic
def picked_weights(
    typingctx: Any, vectors: Any, rows: Any, columns: Any, quads: Any, quads_row: Any, index: Any, dy: Any,
    k: Any, sums: Any, sums_row: Any, total: Any,
) -> Any:  # fmt: skip
    """sums[(3*r + s)*sums_row + i] += X * dy[(p*columns + q)*k + i], all p < rows, q < columns; total[i] += dy.

    For all vectors i. X: of the four pixels in quads[(2*p + r)*quads_row + 2*q + s] which index names, 0 to 3; where
    there is none, dy counts as 0. index lies like dy. quads, index, dy, sums, total: addresses; rows, columns > 0.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vectors, rows, columns, quads, quads_row, index, dy, k, sums, sums_row, total = values
        four = ir.VectorType(ir.FloatType(), QUAD)

        def tile(several: int) -> None:
            emit = _Outputs(builder, LANES)
            line = builder.mul(quads_row, emit.const(4 * QUAD))
            name = "llvm.x86.avx512.vpermilvar.ps.512" if LANES == 16 else "llvm.x86.avx.vpermilvar.ps.256"
            permute = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(emit.vector, [emit.vector, _WHOLE]), name
            )
            every = ir.Constant(_WHOLE, list(range(QUAD)) * (LANES // QUAD))
            step = builder.mul(sums_row, emit.const(4))
            at = [builder.add(sums, builder.mul(step, emit.const(t))) for t in range(TAPS * TAPS)] + [total]
            held = [value for address in at for value in emit.load_all(several, address)]

            def terms(at: list[Any], totals: list[Any]) -> list[Any]:
                names, values = emit.load_places(several, at[1]), emit.load_all(several, at[2])
                some = [builder.icmp_unsigned("<", name, ir.Constant(_PLACES, [QUAD] * LANES)) for name in names]
                values = [builder.select(s, value, emit.splat(0.0)) for s, value in zip(some, values, strict=True)]
                names = [builder.zext(name, _WHOLE) for name in names]
                found: list[Any] = []
                for r in range(TAPS):
                    for s in range(TAPS):
                        row = builder.add(at[0], builder.mul(line, emit.const(r)))
                        quad = emit.read(builder.add(row, emit.const(4 * QUAD * s)), four, 4)
                        quad = builder.shuffle_vector(quad, ir.Constant(four, ir.Undefined), every)
                        for name, value in zip(names, values, strict=True):
                            picked = builder.call(permute, [quad, name])
                            found.append(emit.fma(picked, value, totals[len(found)]))
                return found + [builder.fadd(totals[len(found) + i], value) for i, value in enumerate(values)]

            pointers = [(quads, emit.const(2 * 4 * QUAD), builder.mul(line, emit.const(2)))]
            for start, size in ((index, 2), (dy, 4)):
                each = builder.mul(k, emit.const(size))
                pointers.append((start, each, builder.mul(each, columns)))
            found = double_sum(builder, rows, columns, pointers, held, terms)
            for i, address in enumerate(at):
                emit.store_all(found[i * several : (i + 1) * several], address)

        _for_sizes(builder, [(vectors, SUMMED)], tile)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 11), codegen
