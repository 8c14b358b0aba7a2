"""The SIMD register tile: what LLVM does not make of a plain triple loop. Nothing else is here.

The tile computes   C[i, j] = start + sum_o sum_k A[i*a_row + o*a_outer + k*a_k] * B[o*b_outer + k*b_row + j]
for a few rows i and a few vectors of columns j, with all accumulators in registers. With the strides as arguments it
serves   Y = X @ W (a_k = 1),   dW = X.T @ dY (a_row = 1, no transposed copy),   and convolutions, whose rows i are
neighbouring pixels and whose double sum runs over kernel rows o and the contiguous inputs k of one kernel row.

Elements of A and B are float32, float64, or pairs of bf16 (`PAIRS`: an array of uint32), whose products are the sum of
both, in float32: one instruction for 32 multiply-adds, where float32 has 16.

`gemm` cuts m x n outputs into tiles. It is compiled once per machine and float type, as a primitive that every dense
and convolution kernel calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._emitter import INSTRUCTIONS, MASKED_ONLY, MAX_ACCUMULATORS, MAX_ROWS, REACH, VECTOR_BYTES, Emitter, cases
from ._features import FEATURES, HAS_FAR_CACHES
from ._jit import Primitive

VECTORS = 2  # per tile row; WIDE_VECTORS where there are few rows
WIDE_VECTORS = 4
WIDE_ROWS = MAX_ACCUMULATORS // WIDE_VECTORS if MAX_ACCUMULATORS >= 24 else 2
# Terms of a sum from which a tile asks for its part of C beforehand. One thread, hot: 32 terms 107 without, 103 with;
# C in L3: 64 terms 91, 97; 256 terms 100, 104; with C as the sums' start instead of their last term 95.
LONG = 64
# How many terms of B, and of A where they are not neighbours, a tile asks for beforehand. Emerald Rapids, one thread,
# weight gradient (1024, 784, 256) 1.09, (128, 784, 256) 1.03, (32, 784, 256) 0.97 times as fast; copied panels of B
# 1.00, and 1.12 to 1.17 while the core's other thread works.
AHEAD = 8 if HAS_FAR_CACHES else 0
# Rows of A whose elements are operands of their multiply-adds, where A's rows are neighbours, in tiles of most rows:
# 46 instructions a term instead of 52. Emerald Rapids, one thread, panels of 384 terms: as fast as with registers while
# the core's other thread rests, 1.05 to 1.07 times as fast while it works, and 1.11 to 1.19 times as rows of A.
OPERANDS = 6 if HAS_FAR_CACHES else 0

# Products of pairs of bf16, VDPBF16PS: measured at twice the rate of float32's multiply-add.
HAS_BF16 = "+avx512bf16" in FEATURES
PAIRS = types.uint32  # the element type of their arrays

# Flags of gemm
ACCUMULATE = 1  # start from C's old values instead of the bias or zero
RELU = 2  # write max(C, 0)
START = 4  # start from the matrix at the bias's address, whose rows are as far apart as C's
FAR = 8  # C does not lie in L1: ask for a tile's part of it beforehand, as for sums of LONG terms


def lanes(dtype: Any) -> int:
    """Return the number of elements in a vector of this float type."""
    return VECTOR_BYTES // int(np.dtype(dtype).itemsize)


def describe() -> str:
    """Return the instruction set and the tile as text for `fastnn info`."""
    return f"{INSTRUCTIONS}, {MAX_ROWS} x {VECTORS * lanes(np.float32)} float32"


def describe_bf16() -> str:
    """Return how products of bf16 are made, as text for `fastnn info`."""
    if "+amx-bf16" in FEATURES:
        return "AMX, 16 x 16 sums of 16 pairs"
    return f"AVX512_BF16, {MAX_ROWS} x {VECTORS * lanes(np.float32)} sums of pairs" if HAS_BF16 else "none"


def features() -> str:
    """Return the CPU's vector features among those that matter here."""
    known = ("sse2", "avx", "avx2", "fma", "avx512f", "avx512bf16", "amx-bf16", "neon")
    return " ".join(name for name in known if f"+{name}" in FEATURES) or "none known"


def _emit_tile(
    emit: Emitter, rows: int, vectors: int, masked: bool, arguments: dict[str, Any], near: bool = False
) -> None:
    """Emit the body of one tile at the builder's position. Strides are in bytes. near: A's rows are neighbours."""
    builder, const = emit.builder, emit.const
    a_row, a_outer, a_k, b_outer, b_row, c, c_row, start, start_row = (
        arguments[name] for name in ("a_row", "a_outer", "a_k", "b_outer", "b_row", "c", "c_row", "start", "start_row")
    )
    left = builder.sub(arguments["columns"], const((vectors - 1) * emit.lanes))
    mask = emit.mask(left) if masked else None
    masks = [None] * (vectors - 1) + [mask]
    grid = [(i, j) for i in range(rows) for j in range(vectors)]

    def row_addresses(base: Any, step: Any) -> list[Any]:
        addresses = [base]
        for _ in range(rows - 1):
            addresses.append(builder.add(addresses[-1], step))
        return addresses

    starts, to = row_addresses(start, start_row), row_addresses(c, c_row)
    some = builder.mul(arguments["outer"], arguments["inner"])
    far = builder.icmp_signed("!=", builder.and_(arguments["flags"], const(FAR)), const(0))
    with builder.if_then(builder.or_(far, builder.icmp_signed(">=", some, const(LONG)))):
        for i, j in grid:
            emit.prefetch(to[i], j, write=True)
    # Where rows of A lie one after the other, each turn asks for a line of the next tile's: (128, 256, 128) forward
    # 41.2, with it 39.4 us. Elsewhere for the start of A. Tiles of one vector have no time: 10 outputs 5.2, 6.3 us.
    one_block = builder.icmp_signed("==", a_row, builder.mul(arguments["inner"], a_k))
    following = builder.add(arguments["a"], builder.mul(a_row, const(rows)))
    ask = builder.select(one_block, following, arguments["a"])
    ask_step = builder.select(one_block, const(rows * emit.bytes), const(0))
    if AHEAD:
        apart = builder.icmp_signed("!=", a_k, const(emit.bytes))
        ask = builder.select(apart, builder.add(arguments["a"], builder.mul(a_k, const(AHEAD))), ask)
        ask_step = builder.select(apart, a_k, ask_step)
    distances = {steps: builder.mul(a_row, const(steps)) if steps else None for steps, _ in REACH}
    next_base = builder.mul(a_row, const(len(REACH)))
    first = [emit.splat(0.0)] * len(grid)
    entry = builder.block
    outer_loop, inner_loop, outer_end, done = (
        builder.append_basic_block(n) for n in ("outer", "inner", "outer_end", "done")
    )
    builder.cbranch(builder.icmp_signed(">", some, const(0)), outer_loop, done)

    builder.position_at_end(outer_loop)
    o, a_start, b_start = (builder.phi(emit.i64) for _ in range(3))
    outer_acc = [builder.phi(emit.vector) for _ in grid]
    for phi, value in zip(
        [o, a_start, b_start, *outer_acc], [const(0), arguments["a"], arguments["b"], *first], strict=True
    ):
        phi.add_incoming(value, entry)
    builder.branch(inner_loop)

    builder.position_at_end(inner_loop)
    k, a, b = (builder.phi(emit.i64) for _ in range(3))
    acc = [builder.phi(emit.vector) for _ in grid]
    for phi, value in zip([k, a, b, *acc], [const(0), a_start, b_start, *outer_acc], strict=True):
        phi.add_incoming(value, outer_loop)
    if vectors > 1:
        emit.prefetch(builder.add(ask, builder.mul(k, ask_step)), 0)
        for j in range(vectors if AHEAD else 0):
            emit.prefetch(builder.add(b, builder.mul(b_row, const(AHEAD))), j)
    b_vectors = [emit.load(b, j, masks[j]) for j in range(vectors)]
    new, bases = [], [a, builder.add(a, next_base)]
    for i in range(rows):
        (steps, scale), base, sums = REACH[i % len(REACH)], bases[i // len(REACH)], acc[i * vectors : (i + 1) * vectors]
        if near:
            new += emit.multiply(a, emit.bytes, i, b_vectors, sums, operand=i < OPERANDS)
        else:
            new += emit.multiply(base, distances[steps], scale, b_vectors, sums)
    k_next = builder.add(k, const(1))
    nexts = [k_next, builder.add(a, a_k), builder.add(b, b_row), *new]
    for phi, value in zip([k, a, b, *acc], nexts, strict=True):
        phi.add_incoming(value, inner_loop)
    _loop_branch(builder, builder.icmp_signed("<", k_next, arguments["inner"]), inner_loop, outer_end)

    builder.position_at_end(outer_end)
    o_next = builder.add(o, const(1))
    nexts = [o_next, builder.add(a_start, a_outer), builder.add(b_start, b_outer), *new]
    for phi, value in zip([o, a_start, b_start, *outer_acc], nexts, strict=True):
        phi.add_incoming(value, outer_end)
    _loop_branch(builder, builder.icmp_signed("<", o_next, arguments["outer"]), outer_loop, done)

    builder.position_at_end(done)
    results = [builder.phi(emit.vector) for _ in grid]
    for phi, empty, value in zip(results, first, new, strict=True):
        phi.add_incoming(empty, entry)
        phi.add_incoming(value, outer_end)
    floor, last = arguments["floor"], []
    for (i, j), value in zip(grid, results, strict=True):
        value = builder.fadd(value, emit.load(starts[i], j, masks[j]))
        below = builder.fcmp_ordered("<", value, floor)  # false for NaN: NaN is kept
        value = builder.select(below, floor, value)
        if masks[j] is None or MASKED_ONLY:
            emit.store(value, to[i], j, masks[j])
        else:
            last.append(value)
    if last:
        at = emit.const((vectors - 1) * VECTOR_BYTES)
        emit.store_first(last, [builder.add(address, at) for address in to], left)


def _loop_branch(builder: Any, again: Any, loop: Any, end: Any) -> None:
    """Emit the end of a loop, which LLVM is not to unroll where registers are few: it would have no room for sums.

    AVX2, one thread: tiles of 6 rows and 16 terms have 84 % of the peak, unrolled 65; of 3 rows and 128 terms 64, 40.
    """
    branch = builder.cbranch(again, loop, end)
    if MAX_ACCUMULATORS <= 12:
        module = builder.module
        name = ir.MDValue(module, [], name=str(len(module.metadata)))
        name.operands = name, module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
        branch.set_metadata("llvm.loop", name)


def _shapes() -> list[tuple[int, int]]:
    """Return the (rows, vectors) of all tiles."""
    narrow = [(rows, vectors) for rows in range(1, MAX_ROWS + 1) for vectors in range(1, VECTORS + 1)]
    return narrow + [(rows, WIDE_VECTORS) for rows in range(1, WIDE_ROWS + 1)]


def _make_tile(bits: int, pairs: bool = False) -> Any:
    """Return the intrinsic that jumps to the tile of the given shape. Strides in elements."""

    @intrinsic
    def tile(
        typingctx: Any, rows: Any, columns: Any, outer: Any, inner: Any, a: Any, a_row: Any, a_outer: Any, a_k: Any,
        b: Any, b_outer: Any, b_row: Any, c: Any, c_row: Any, bias: Any, flags: Any,
    ) -> Any:  # fmt: skip
        names = ("rows", "columns", "outer", "inner", "a", "a_row", "a_outer", "a_k",
                 "b", "b_outer", "b_row", "c", "c_row", "bias", "flags")  # fmt: skip

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            emit = Emitter(builder, bits, pairs)
            arguments = dict(zip(names, values, strict=True))
            for name in ("a_row", "a_outer", "a_k", "b_outer", "b_row", "c_row"):
                arguments[name] = builder.mul(arguments[name], emit.const(emit.bytes))
            # Accumulators start from C, from the bias (the same for each row), or from a row of zeros.
            zeros = cgutils.global_constant(
                builder.module, f"zeros{bits}", ir.Constant(ir.ArrayType(emit.vector, WIDE_VECTORS), None)
            )
            flags, bias = arguments["flags"], arguments["bias"]
            accumulate = builder.icmp_signed("!=", builder.and_(flags, emit.const(ACCUMULATE)), emit.const(0))
            relu = builder.icmp_signed("!=", builder.and_(flags, emit.const(RELU)), emit.const(0))
            no_bias = builder.icmp_signed("==", bias, emit.const(0))
            fixed = builder.select(no_bias, builder.ptrtoint(zeros, emit.i64), bias)
            arguments["start"] = builder.select(accumulate, arguments["c"], fixed)
            rows_apart = builder.icmp_signed("!=", builder.and_(flags, emit.const(ACCUMULATE | START)), emit.const(0))
            arguments["start_row"] = builder.select(rows_apart, arguments["c_row"], emit.const(0))
            arguments["floor"] = builder.select(relu, emit.splat(0.0), emit.splat(float("-inf")))

            rows, columns = arguments["rows"], arguments["columns"]
            vectors = builder.sdiv(builder.add(columns, emit.const(emit.lanes - 1)), emit.const(emit.lanes))
            partial = builder.icmp_signed("!=", builder.srem(columns, emit.const(emit.lanes)), emit.const(0))
            case = builder.add(
                builder.mul(rows, emit.const(2 * (WIDE_VECTORS + 1))), builder.mul(vectors, emit.const(2))
            )
            case = builder.add(case, emit.const(1) if MASKED_ONLY else builder.zext(partial, emit.i64))
            shapes = {
                tile_rows * 2 * (WIDE_VECTORS + 1) + tile_vectors * 2 + masked: (tile_rows, tile_vectors, masked)
                for tile_rows, tile_vectors in _shapes()
                for masked in ((True,) if MASKED_ONLY else (False, True))
            }
            neighbours = builder.icmp_signed("==", arguments["a_row"], emit.const(emit.bytes))
            for number in cases(builder, case, shapes):
                if OPERANDS and shapes[number][0] >= MAX_ROWS - 1 and shapes[number][1] == VECTORS:
                    with builder.if_else(neighbours) as (near, far):
                        with near:
                            _emit_tile(emit, *shapes[number], arguments, near=True)
                        with far:
                            _emit_tile(emit, *shapes[number], arguments)
                else:
                    _emit_tile(emit, *shapes[number], arguments)
            return context.get_dummy_value()

        return types.void(*[types.intp] * len(names)), codegen

    return tile


def _make_gemm(tile: Any, lanes: int) -> Any:
    itemsize = VECTOR_BYTES // lanes
    width, wide = VECTORS * lanes, WIDE_VECTORS * lanes

    def gemm(
        m: int, n: int, outer: int, inner: int, a: int, a_row: int, a_outer: int, a_k: int,
        b: int, b_outer: int, b_row: int, c: int, c_row: int, bias: int, flags: int,
    ) -> None:  # fmt: skip
        tiles = (m + MAX_ROWS - 1) // MAX_ROWS
        rows, extra = m // tiles, m % tiles  # tiles of equal height, give or take a row
        bias_row = c_row if flags & START else 0
        j = 0
        while j < n:
            columns = min(n - j, width)
            if m <= WIDE_ROWS and n - j >= wide:
                columns = wide
            i = 0
            for t in range(tiles):
                height = rows + 1 if t < extra else rows
                bias_at = bias + (i * bias_row + j) * itemsize if bias != 0 else 0
                tile(
                    height, columns, outer, inner, a + i * a_row * itemsize, a_row, a_outer, a_k,
                    b + j * itemsize, b_outer, b_row, c + (i * c_row + j) * itemsize, c_row, bias_at, flags,
                )  # fmt: skip
                i += height
            j += columns

    return gemm


_GEMM = types.void(*[types.intp] * 15)
_tile32, _tile64, _tile_pairs = _make_tile(32), _make_tile(64), _make_tile(32, pairs=True)
_PRIMITIVES = {
    types.float32: Primitive(_make_gemm(_tile32, lanes(np.float32)), "gemm_f32", _GEMM),
    types.float64: Primitive(_make_gemm(_tile64, lanes(np.float64)), "gemm_f64", _GEMM),
    PAIRS: Primitive(_make_gemm(_tile_pairs, lanes(np.float32)), "gemm_bf16", _GEMM),
}


def link(dtype: Any) -> None:
    """Compile or load `gemm` for a float type: what takes longest of all that networks need."""
    _PRIMITIVES[types.float32 if np.dtype(dtype) == np.float32 else types.float64].link()


def call(primitive: Primitive, like: Any, count: int) -> Any:
    """Return signature and code of a call to a primitive with `count` integers, as an intrinsic has to."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function_type = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * count)
        builder.call(primitive.declare(context, builder, function_type), values[1:])
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * count), codegen


@intrinsic
def gemm(
    typingctx: Any, like: Any, m: Any, n: Any, outer: Any, inner: Any, a: Any, a_row: Any, a_outer: Any, a_k: Any,
    b: Any, b_outer: Any, b_row: Any, c: Any, c_row: Any, bias: Any, flags: Any,
) -> Any:  # fmt: skip
    """C[i, j] = start + sum_o sum_k A[i*a_row + o*a_outer + k*a_k] * B[o*b_outer + k*b_row + j], i < m, j < n.

    `like`: any array of A's and B's elements. a, b, c, bias: addresses; all strides in elements. m > 0.
    start: C with ACCUMULATE, else bias[j], with START bias[i*c_row + j], else (bias address 0) zero.
    """
    return call(_PRIMITIVES[like.dtype], like, 15)
