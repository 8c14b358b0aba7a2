"""Short vectors as values in kernels: LANES neighbouring elements of an array, loaded, combined and stored at once.

They serve loops over channels, which are too short for LLVM's own vectoriser: it would check for overlapping arrays at
every pixel and leave the tail to a scalar loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from ._emitter import mask_from_bits
from ._features import FEATURES

LANES = 16
MASKS_ARE_FREE = "+avx512bw" in FEATURES


class Lanes(types.Type):  # type: ignore[misc]
    """The Numba type of LANES numbers of type `dtype` in one vector (in two or four where the CPU's are shorter)."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(f"lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        element = manager.lookup(lanes.dtype).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(element, LANES))


@intrinsic
def load(typingctx: Any, array: Any, at: Any, channels: Any) -> Any:
    """Return LANES elements of the C-contiguous array from `at` on; where `channels` are fewer, those and zeros."""
    lanes = Lanes(array.dtype)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _pointer(context, builder, array, values[0], values[1], lanes)
        zero = context.get_constant_null(lanes)
        size = ir.Constant(ir.IntType(32), array.dtype.bitwidth // 8)
        result = cgutils.alloca_once_value(builder, zero)

        def whole() -> None:
            value = builder.load(pointer)
            value.align = size.constant
            builder.store(value, result)

        def masked() -> None:
            arguments = [pointer, size, _mask(builder, values[2]), zero]
            builder.store(_call(builder, f"llvm.masked.load.{_suffix(array)}.p0", zero.type, arguments), result)

        _whole_or_masked(builder, values[2], whole, masked)
        return builder.load(result)

    return lanes(array, types.intp, types.intp), codegen


@intrinsic
def load_pair(typingctx: Any, array: Any, at: Any, then: Any, channels: Any) -> Any:
    """Return in the first lanes `channels` elements from `at` on, in the next as many those from `then` on; zeros."""
    lanes = Lanes(array.dtype)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, at, then, channels = values
        result = context.get_constant_null(lanes)
        size = ir.Constant(ir.IntType(32), array.dtype.bitwidth // 8)
        first, both = _mask(builder, channels), _mask(builder, builder.add(channels, channels))
        second = builder.and_(both, builder.not_(first))
        for start, mask in ((at, first), (builder.sub(then, channels), second)):
            pointer = _pointer(context, builder, array, values[0], start, lanes)
            arguments = [pointer, size, mask, result]
            result = _call(builder, f"llvm.masked.load.{_suffix(array)}.p0", result.type, arguments)
        return result

    return lanes(array, types.intp, types.intp, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, at: Any, channels: Any, value: Any) -> Any:
    """Write the lanes to the C-contiguous array from `at` on; where `channels` are fewer, only so many."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _pointer(context, builder, array, values[0], values[1], value)
        size = ir.Constant(ir.IntType(32), array.dtype.bitwidth // 8)

        def whole() -> None:
            builder.store(values[3], pointer).align = size.constant

        def masked() -> None:
            arguments = [values[3], pointer, size, _mask(builder, values[2])]
            _call(builder, f"llvm.masked.store.{_suffix(array)}.p0", ir.VoidType(), arguments)

        _whole_or_masked(builder, values[2], whole, masked)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, value), codegen


@intrinsic
def spread(typingctx: Any, array: Any, value: Any) -> Any:
    """Return `value`, as the array's type, in all lanes."""
    lanes = Lanes(array.dtype)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _spread(builder, context.cast(builder, values[1], value, array.dtype))

    return lanes(array, value), codegen


@intrinsic
def pair(typingctx: Any, first: Any, second: Any, channels: Any) -> Any:
    """Return `first` in the first `channels` lanes, `second` in the others."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.select(_mask(builder, values[2]), values[0], values[1])

    return first(first, first, types.intp), codegen


@intrinsic
def add(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a + b."""
    return a(a, a), lambda context, builder, signature, values: builder.fadd(*values)


@intrinsic
def multiply(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a * b."""
    return a(a, a), lambda context, builder, signature, values: builder.fmul(*values)


@intrinsic
def multiply_add(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, rounded once where the CPU can."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = values[0].type
        suffix = f"v{LANES}f{signature.return_type.dtype.bitwidth}"
        function_type = ir.FunctionType(kind, [kind] * 3)
        fused = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.fmuladd.{suffix}")
        return builder.call(fused, values)

    return a(a, a, a), codegen


@intrinsic
def totals(typingctx: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return the four sums of all lanes, halves added to halves."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        index = ir.IntType(32)

        def halves(x: Any, y: Any, size: int) -> Any:
            """Emit the first halves of all groups of lanes, those of x before those of y, plus the second halves."""
            first = [i for i in range(2 * LANES) if not i & size]
            order = [ir.Constant(ir.VectorType(index, LANES), [i + by for i in first]) for by in (0, size)]
            return builder.fadd(*(builder.shuffle_vector(x, y, lanes) for lanes in order))

        a, b, c, d = values
        sums = halves(halves(a, b, LANES // 2), halves(c, d, LANES // 2), LANES // 4)
        sums = halves(sums, sums, LANES // 8)
        sums = halves(sums, sums, LANES // 16)
        found = [builder.extract_element(sums, ir.Constant(index, i)) for i in range(4)]
        return context.make_tuple(builder, signature.return_type, found)

    return types.UniTuple(a.dtype, 4)(a, b, c, d), codegen


@intrinsic
def by_root(typingctx: Any, a: Any, b: Any, more: Any) -> Any:
    """Return a / sqrt(b + more), computed in float64 and rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a, b, more = values
        double = ir.VectorType(ir.DoubleType(), LANES)
        narrow = a.type != double
        if narrow:
            a, b = builder.fpext(a, double), builder.fpext(b, double)
        more = _spread(builder, context.cast(builder, more, signature.args[2], types.float64))
        root = _call(builder, f"llvm.sqrt.v{LANES}f64", double, [builder.fadd(b, more)])
        result = builder.fdiv(a, root)
        return builder.fptrunc(result, values[0].type) if narrow else result

    return a(a, a, more), codegen


@intrinsic
def where_positive(typingctx: Any, of: Any, value: Any) -> Any:
    """Return `value` in the lanes where `of` is positive or NaN, else 0."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        positive = builder.fcmp_unordered(">", values[0], context.get_constant_null(of))
        return builder.select(positive, values[1], context.get_constant_null(value))

    return value(of, value), codegen


@intrinsic
def or_nowhere(typingctx: Any, of: Any, place: Any) -> Any:
    """Return the integers `place` in the lanes where `of` is positive or NaN, else all bits."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        positive = builder.fcmp_unordered(">", values[0], context.get_constant_null(of))
        nowhere = ir.Constant(values[1].type, [-1] * LANES)
        return builder.select(positive, values[1], nowhere)

    return place(of, place), codegen


@intrinsic
def larger(typingctx: Any, best: Any, place: Any, value: Any, value_place: Any) -> Any:
    """Return (best, place), replaced in the lanes where `value` is larger, or the first NaN."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        best, place, value, value_place = values
        greater = builder.fcmp_unordered(">", value, best)  # true where either is NaN
        take = builder.and_(greater, builder.fcmp_ordered("ord", best, best))
        new = (builder.select(take, value, best), builder.select(take, value_place, place))
        return context.make_tuple(builder, signature.return_type, new)

    return types.Tuple((best, place))(best, place, best, place), codegen


@intrinsic
def most(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the larger of a and b in each lane, NaN where one of them is NaN."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a, b = values
        take = builder.and_(builder.fcmp_unordered(">", b, a), builder.fcmp_ordered("ord", a, a))
        return builder.select(take, b, a)

    return a(a, a), codegen


@intrinsic
def neighbours(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the lanes of even number, those of a before those of b, and the lanes of odd number."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.VectorType(ir.IntType(32), LANES)
        halves = [builder.shuffle_vector(*values, ir.Constant(kind, list(range(i, 2 * LANES, 2)))) for i in (0, 1)]
        return context.make_tuple(builder, signature.return_type, halves)

    return types.Tuple((a, a))(a, a), codegen


@intrinsic
def where_equal(typingctx: Any, place: Any, wanted: Any, value: Any) -> Any:
    """Return `value` in the lanes where the integers `place` and `wanted` are equal, else 0."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        equal = builder.icmp_signed("==", values[0], values[1])
        return builder.select(equal, values[2], context.get_constant_null(value))

    return value(place, place, value), codegen


def _pointer(context: Any, builder: Any, array: Any, packed: Any, at: Any, lanes: Lanes) -> Any:
    data = context.make_array(array)(context, builder, packed).data
    return builder.bitcast(builder.gep(data, [at]), context.get_value_type(lanes).as_pointer())


def _spread(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _whole_or_masked(builder: Any, channels: Any, whole: Callable[[], None], masked: Callable[[], None]) -> None:
    """Emit a masked access where masks are free, else a branch: without AVX-512 they cost one branch per lane."""
    if MASKS_ARE_FREE:
        masked()
        return
    enough = builder.icmp_signed(">=", channels, ir.Constant(ir.IntType(64), LANES))
    with builder.if_else(enough) as (then, otherwise):
        with then:
            whole()
        with otherwise:
            masked()


def _mask(builder: Any, channels: Any) -> Any:
    if MASKS_ARE_FREE:
        return mask_from_bits(builder, channels, LANES)
    numbers = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(range(LANES)))
    return builder.icmp_signed("<", numbers, _spread(builder, builder.trunc(channels, ir.IntType(32))))


def _suffix(array: Any) -> str:
    return f"v{LANES}{'f' if isinstance(array.dtype, types.Float) else 'i'}{array.dtype.bitwidth}"


def _call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), arguments)
