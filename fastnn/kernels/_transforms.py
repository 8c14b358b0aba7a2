"""The transforms of Winograd's convolution: out = L in L^T for tiles of an image, of weights or of sums.

Vector code over the channels, emitted from the matrices L: one task for each size of tiles, which every Winograd kernel
calls by its address.
"""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._emitter import MASKED_ONLY, VECTOR_BYTES, Emitter
from ._jit import kernel
from ._simd import PAIRS, RELU, VECTORS
from ._slots import emit_call

TAPS = 3
# Outputs along an axis, of floats, of floats with 5 taps, and of pairs of bf16
TILE, LARGE_TILE, TILE_OF_5, LARGE_TILE_OF_5, PAIRS_TILE = 4, 5, 2, 3, 2
INPUT, OUTPUT, WEIGHTS, GRADIENT, SUMS = range(5)
NEAR = 4  # beside the tile's flags: the image lies in the cache
PAIRED = INPUT, WEIGHTS, GRADIENT  # operands of products
IMAGES = {INPUT: "source", GRADIENT: "source", OUTPUT: "to"}  # which side of a transform is an image
# Points beside infinity. Largest error of float32 relative to the largest result, 64 channels: TILE 2.4e-6, weight
# gradient 2.4e-6; with 2 and -2 in place of the last two 5.9e-6 and 8.9e-6. LARGE_TILE 5.1e-6 and 5.3e-6; with TILE's
# and 2 8.3e-6 and 9.2e-6. What belongs to all outputs is number 1 of an axis, where the point is 1.
_POINTS = {
    TILE: (0, 1, -1, Fraction(1, 2), -2),
    LARGE_TILE: (0, 1, -1, Fraction(1, 2), Fraction(-2, 3), Fraction(5, 2)),
    PAIRS_TILE: (0, 1, -1),
}


def _values(points: Any, count: int) -> list[list[Fraction]]:
    """Return what gives the values of a polynomial of `count` coefficients: at infinity its last coefficient."""
    at_infinity = [Fraction(0)] * (count - 1) + [Fraction(1)]
    return [*([Fraction(p) ** i for i in range(count)] for p in points), at_infinity]


def _product(roots: Any, count: int) -> list[Fraction]:
    """Return the `count` coefficients of the product of (x - root)."""
    row = [Fraction(1)]
    for root in roots:
        row = [low - root * high for low, high in zip([Fraction(0), *row], [*row, Fraction(0)], strict=True)]
    return row + [Fraction(0)] * (count - len(row))


def _sums(points: Any, inputs: int) -> list[list[list[Fraction]]]:
    """Return two matrices whose product, the second by the first, gives INPUT's: half of the points share each sum.

    INPUT's rows are the coefficients of the product of (x - q) over all points q but one. The first matrix has those of
    one half of the points, at several places; with 6 points 25 operations instead of 30.
    """
    halves = points[:3], points[3:]
    first: list[list[Fraction]] = []
    second: list[list[Fraction]] = []
    for own, others in (halves, halves[::-1]):
        before, count = len(first), len(own) + (own == halves[1])
        for shift in range(count):
            first.append([Fraction(0)] * shift + _product(others, inputs - shift))
        for roots in ([q for q in own if q != p] for p in own):
            second.append([Fraction(0)] * before + _product(roots, inputs - before))
    second.append([Fraction(0)] * 3 + _product(halves[1], inputs - 3))
    return [first, second]


def matrices(outputs: int, taps: int = TAPS) -> dict[int, list[list[list[float]]]]:
    """Return for each kind the matrix L (Toom and Cook; Lavin and Gray, section 4), or two of which it is the product.

    The first of the two is applied first.
    """
    points, inputs = _POINTS[outputs + taps - TAPS], outputs + taps - 1
    others = [[q for q in points if q != p] for p in points]
    scales = [*(prod(Fraction(p - q) for q in rest) for p, rest in zip(points, others, strict=True)), Fraction(1)]
    values = _values(points, outputs)
    weights = [[v / scale for v in row] for row, scale in zip(_values(points, taps), scales, strict=True)]
    exact: dict[int, Any] = {
        INPUT: _sums(points, inputs),
        OUTPUT: [list(zip(*values, strict=True))],
        WEIGHTS: [weights],
        GRADIENT: [values],
        SUMS: [list(zip(*weights, strict=True))],
    }
    return {
        kind: [[[float(v) for v in row] for row in matrix] for matrix in factors] for kind, factors in exact.items()
    }


def transformed(emit: Any, matrices: list[list[list[float]]], vectors: list[Any]) -> list[Any]:
    """Emit the product of matrices and vectors."""
    for matrix in matrices:
        vectors = [combine(emit, factors, vectors) for factors in matrix]
    return vectors


def combine(emit: Any, factors: list[float], vectors: list[Any]) -> Any:
    """Emit the sum of factors * vectors, those with factors of one size first: rows share sums and differences."""
    builder, total = emit.builder, None
    for size in sorted({abs(f) for f in factors if f}, key=lambda size: (size != 1, size)):
        (sign, part), *others = [(f, v) for f, v in zip(factors, vectors, strict=True) if abs(f) == size]
        for factor, vector in others:
            part = builder.fadd(part, vector) if factor == sign else builder.fsub(part, vector)
        if total is not None:
            total = emit.fma(part, emit.splat(sign), total)
        elif size != 1:
            total = builder.fmul(part, emit.splat(sign))
        else:
            total = part if sign > 0 else builder.fneg(part)
    return total


def _emit_transform(
    emit: Emitter, kind: int, outputs: int, taps: int, whole: bool, masked: bool, arguments: dict[str, Any]
) -> None:
    """Emit one transform of one vector of channels; with `second` of two, which become pairs. Strides in bytes.

    whole: all pixels are inside the image. masked: not all channels of the vector exist.
    """
    builder, factors, image = emit.builder, matrices(outputs, taps)[kind], IMAGES.get(kind)
    after, before = len(factors[-1]), len(factors[0][0])
    sources = ["source", "second"] if "second" in arguments else ["source"]
    with builder.goto_entry_block():  # alloca_once would fill it with zeros
        lines = [builder.alloca(ir.ArrayType(emit.vector, after * before)) for _ in sources]
        outside = builder.ptrtoint(builder.alloca(emit.vector), emit.i64)  # see `narrowed`

    def at(name: str, i: Any, j: Any) -> Any:
        steps = "to" if name == "to" else "source"
        down, along = builder.mul(arguments[f"{steps}_row"], i), builder.mul(arguments[f"{steps}_column"], j)
        return builder.add(builder.add(arguments[name], down), along)

    def inside(axis: str, i: Any) -> Any:
        low = builder.icmp_signed("<=", arguments[f"{axis}0"], i)
        return builder.and_(low, builder.icmp_signed("<", i, arguments[f"{axis}1"]))

    def limits(name: str, axis: str, count: int) -> list[tuple[Any, Any]]:
        """For `count` places along an axis: whether they are inside the image (None: all), and the lanes that exist."""
        lanes = emit.mask(arguments[f"{name}_channels"]) if masked else None
        if whole or not axis:
            return [(None, lanes)] * count
        within = [inside(axis, emit.const(i)) for i in range(count)]
        return [(None, builder.select(i, lanes, nothing)) if MASKED_ONLY else (i, lanes) for i in within]

    def narrowed(address: Any, limit: tuple[Any, Any], axis: str, i: Any) -> tuple[Any, Any]:
        """The address, and the mask, of what is inside along the other axis too.

        Without mask registers a pixel outside has another address: in (64, 14, 14, 32) 8 of 9 tiles have such pixels,
        and the transform of its inputs took 660 us of one thread with masks, which are slow to store, and takes 240.
        """
        within, mask = limit
        if whole or not axis:
            return address, mask
        if MASKED_ONLY:
            return address, builder.and_(mask, builder.select(inside(axis, i), everything, nothing))
        return builder.select(builder.and_(within, inside(axis, i)), address, outside), mask

    nothing, everything = (ir.Constant(emit.mask_type, [bit] * emit.lanes) for bit in (0, 1))
    if image and not whole and not MASKED_ONLY:
        emit.store(emit.splat(0.0), outside, 0)
    if image:
        near = builder.and_(arguments["flags"], emit.const(NEAR))
        with builder.if_then(builder.icmp_signed("==", near, emit.const(0))):
            # The new pixels of the tile below: memory brings them while this row of tiles is worked on. (64, 32, 32,
            # 32) to 32 channels, whose images lie in L3: 3.7 ms instead of 4.4. Into L2: into L1, to which fewer lines
            # may be on their way, takes 1.03 to 1.09 times as long.
            first = after if image == "to" else before
            for name in ["to"] if image == "to" else sources:
                for i in range(first, first + outputs):
                    for j in range(first - outputs, first):
                        emit.prefetch(at(name, emit.const(i), emit.const(j)), 0, image == "to", 2)
    # Columns, then rows, in loops: a sixth of the code.
    for name, line in zip(sources, lines, strict=True):
        rows, columns = (f"{name}_row".removeprefix("source_"), "column") if image == "source" else ("", "")
        fixed = limits(name, rows, before)
        with cgutils.for_range(builder, emit.const(before)) as loop:
            vectors = []
            for i, limit in enumerate(fixed):
                address, mask = narrowed(at(name, emit.const(i), loop.index), limit, columns, loop.index)
                vectors.append(emit.load(address, 0, mask))
            for i, value in enumerate(transformed(emit, factors, vectors)):
                place = cgutils.gep_inbounds(builder, line, 0, builder.add(loop.index, emit.const(i * before)))
                builder.store(value, place)
    rows, columns = ("row", "column") if image == "to" else ("", "")
    fixed = limits("to", columns, after)
    with cgutils.for_range(builder, emit.const(after)) as loop:
        first = builder.mul(loop.index, emit.const(before))
        places = [builder.add(first, emit.const(j)) for j in range(before)]
        halves = [[builder.load(cgutils.gep_inbounds(builder, line, 0, place)) for place in places] for line in lines]
        new = zip(*(transformed(emit, factors, half) for half in halves), strict=True)
        for j, (values, limit) in enumerate(zip(new, fixed, strict=True)):
            value = values[0] if len(values) == 1 else emit.pair(*values)
            if kind == OUTPUT:
                value = builder.select(builder.fcmp_ordered("<", value, arguments["floor"]), arguments["floor"], value)
            address, mask = narrowed(at("to", loop.index, emit.const(j)), limit, rows, loop.index)
            emit.store(value, address, 0, mask)


_NAMES = ("channels", "source", "source_row", "source_column", "to", "to_row", "to_column", "to_panel", "row0", "row1",
          "column0", "column1", "flags", "second", "second_channels", "second_row0", "second_row1")  # fmt: skip


def _make_kind(bits: int, outputs: int, taps: int, pairs: bool, kind: int) -> Any:
    """Return the intrinsic of one kind of transform, of all channels. Strides in elements.

    A function of its own: LLVM would compute what any kind needs before it looks which one is wanted.
    """

    def emit_channels(builder: Any, arguments: dict[str, Any]) -> None:
        emit = Emitter(builder, bits)
        const, channels = emit.const, arguments["channels"]
        for name in ("source_row", "source_column", "to_row", "to_column", "to_panel"):
            arguments[name] = builder.mul(arguments[name], const(emit.bytes))
        relu = builder.icmp_signed("!=", builder.and_(arguments["flags"], const(RELU)), const(0))
        arguments["floor"] = builder.select(relu, emit.splat(0.0), emit.splat(float("-inf")))
        inside = ir.Constant(ir.IntType(1), 1)
        if kind in IMAGES:
            size = outputs + taps - 1 if kind == INPUT else outputs
            rows, columns, second_rows = (
                builder.sub(arguments[f"{axis}1"], arguments[f"{axis}0"]) for axis in ("row", "column", "second_row")
            )
            inside = builder.icmp_signed("==", builder.add(rows, columns), const(2 * size))
            if pairs and kind in PAIRED:
                inside = builder.and_(inside, builder.icmp_signed("==", second_rows, const(size)))
        bases = [arguments[name] for name in ("source", "second", "to")]
        last = {name: arguments[name] for name in ("channels", "second_channels")}
        if not (pairs and kind in PAIRED):
            del arguments["second"], last["second_channels"]
        with cgutils.for_range_slice(builder, const(0), channels, const(emit.lanes)) as (j, _):
            source, second, to = (builder.add(base, builder.mul(j, const(emit.bytes))) for base in bases)
            panel = builder.sdiv(j, const(VECTORS * emit.lanes))
            skipped = builder.sub(arguments["to_panel"], const(VECTORS * VECTOR_BYTES))
            at = {"source": source, "to": builder.add(to, builder.mul(panel, skipped))}
            if "second" in arguments:
                at["second"] = second
            left = {name: builder.sub(count, j) for name, count in last.items()}
            now = {**arguments, **at, **left}
            now["source_channels"] = now["to_channels"] = left["channels"]
            whole, filled = inside, ir.Constant(ir.IntType(1), 1)
            for count in left.values():
                enough = builder.icmp_signed(">=", count, const(emit.lanes))
                whole, filled = builder.and_(whole, enough), builder.and_(filled, enough)
            cases = [(whole, True, False), (None, False, True)]
            if kind in IMAGES and not MASKED_ONLY:
                cases.insert(1, (filled, False, False))
            emit_first(emit, cases, now)

    def emit_first(emit: Emitter, cases: list[tuple[Any, bool, bool]], arguments: dict[str, Any]) -> None:
        """Emit the choice of the first case whose condition is met; the last one has none."""
        (condition, whole, masked), *others = cases
        if not others:
            _emit_transform(emit, kind, outputs, taps, whole, masked, arguments)
            return
        with emit.builder.if_else(condition) as (then, otherwise):
            with then:
                _emit_transform(emit, kind, outputs, taps, whole, masked, arguments)
            with otherwise:
                emit_first(emit, others, arguments)

    @intrinsic
    def transform_kind(
        typingctx: Any, channels: Any, source: Any, source_row: Any, source_column: Any, to: Any, to_row: Any,
        to_column: Any, to_panel: Any, row0: Any, row1: Any, column0: Any, column1: Any, flags: Any, second: Any,
        second_channels: Any, second_row0: Any, second_row1: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            function_type = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * len(_NAMES))
            name = builder.module.get_unique_name(f".transform_{kind}")
            function = ir.Function(builder.module, function_type, name)
            function.linkage = "internal"
            function.attributes.add("noinline")
            inner = ir.IRBuilder(function.append_basic_block("entry"))
            emit_channels(inner, dict(zip(_NAMES, function.args, strict=True)))
            inner.ret_void()
            builder.call(function, values)
            return context.get_dummy_value()

        return types.void(*[types.intp] * len(_NAMES)), codegen

    return transform_kind


def _make_transform(bits: int, outputs: int, taps: int = TAPS, pairs: bool = False) -> Any:
    """Return the task of the transforms for tiles of this size."""
    input_, output, weights, gradient, sums = (_make_kind(bits, outputs, taps, pairs, kind) for kind in range(5))

    def transform(
        kind: int, channels: int, source: int, source_row: int, source_column: int, to: int, to_row: int,
        to_column: int, to_panel: int, row0: int, row1: int, column0: int, column1: int, flags: int, second: int,
        seconds: int, second_row0: int, second_row1: int,
    ) -> None:  # fmt: skip
        arguments = (channels, source, source_row, source_column, to, to_row, to_column, to_panel, row0, row1, column0,
                     column1, flags, second, seconds, second_row0, second_row1)  # fmt: skip
        if kind == INPUT:
            input_(*arguments)
        elif kind == OUTPUT:
            output(*arguments)
        elif kind == WEIGHTS:
            weights(*arguments)
        elif kind == GRADIENT:
            gradient(*arguments)
        else:
            sums(*arguments)

    transform.__qualname__ = f"transform_{'bf16' if pairs else f'f{bits}'}_{outputs}"
    return kernel(transform)


_TYPES = (types.intp,) * 18
_TASKS = {
    kind: {
        **{outputs: _make_transform(bits, outputs) for outputs in (TILE, LARGE_TILE)},
        **{outputs: _make_transform(bits, outputs, 5) for outputs in (TILE_OF_5, LARGE_TILE_OF_5)},
    }
    for kind, bits in ((types.float32, 32), (types.float64, 64))
} | {PAIRS: {PAIRS_TILE: _make_transform(32, PAIRS_TILE, pairs=True)}}


@intrinsic
def transform_address(typingctx: Any, like: Any, outputs: Any) -> Any:
    """Return the address of the transforms for tiles of so many outputs, compiled or loaded: for operations."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        i64 = ir.IntType(64)
        result = cgutils.alloca_once_value(builder, ir.Constant(i64, 0))
        for size, task in _TASKS[like.dtype].items():
            with builder.if_then(builder.icmp_signed("==", values[1], ir.Constant(i64, size))):
                builder.store(task.emit_address(context, builder, _TYPES), result)
        return builder.load(result)

    return types.intp(like, types.intp), codegen


@intrinsic
def transform(
    typingctx: Any, transforms: Any, kind: Any, channels: Any, source: Any, source_row: Any, source_column: Any,
    to: Any, to_row: Any, to_column: Any, to_panel: Any, row0: Any, row1: Any, column0: Any, column1: Any, flags: Any,
    second: Any, seconds: Any, second_row0: Any, second_row1: Any,
) -> Any:  # fmt: skip
    """to = L source L^T of one tile, for all channels. Addresses; strides in elements.

    The image's side has the pixels row0..row1-1, column0..column1-1 only: others count as 0 and are not written.
    to_panel: between panels of `to`, as wide as the register tile; that width where `to` has no panels. With those for
    pairs, PAIRED transforms are of two tiles, the other one at `second` with `seconds` channels and its own rows, and
    their elements become pairs.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        emit_call(context, builder, values[0], _TYPES, values[1:])
        return context.get_dummy_value()

    return types.void(types.intp, *_TYPES), codegen
