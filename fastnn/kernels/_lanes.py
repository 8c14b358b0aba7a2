"""Short vectors as values in kernels: LANES neighbouring elements of an array, loaded, combined and stored at once.

They serve loops over channels, which are too short for LLVM's own vectoriser: it would check for overlapping arrays at
every pixel and leave the tail to a scalar loop.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 16


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


class Width(types.Type):  # type: ignore[misc]
    """The Numba type that says how channels become lanes: all of them in use, or (`masked`) only the first few."""

    def __init__(self, masked: bool) -> None:
        self.masked = masked
        super().__init__(f"width(masked={masked})")


@register_model(Width)
class _WidthModel(models.OpaqueModel):  # type: ignore[misc]
    pass


@intrinsic
def full(typingctx: Any) -> Any:
    """Return the width for LANES channels or more."""
    return _width(masked=False)


@intrinsic
def partial(typingctx: Any) -> Any:
    """Return the width for fewer channels."""
    return _width(masked=True)


def _width(masked: bool) -> Any:
    return Width(masked)(), lambda context, builder, signature, values: context.get_dummy_value()


@intrinsic
def load(typingctx: Any, width: Any, array: Any, at: Any, channels: Any) -> Any:
    """Return LANES elements of the flat array from `at` on; where `width` is partial, `channels` of them and zeros."""
    lanes = Lanes(array.dtype)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _pointer(context, builder, array, values[1], values[2], lanes)
        size = array.dtype.bitwidth // 8
        if not width.masked:
            value = builder.load(pointer)
            value.align = size
            return value
        zero = context.get_constant_null(lanes)
        arguments = [pointer, ir.Constant(ir.IntType(32), size), _mask(builder, values[3]), zero]
        return _call(builder, f"llvm.masked.load.{_suffix(array)}.p0", zero.type, arguments)

    return lanes(width, array, types.intp, types.intp), codegen


@intrinsic
def store(typingctx: Any, width: Any, array: Any, at: Any, channels: Any, value: Any) -> Any:
    """Write the lanes to the flat array from `at` on; where `width` is partial, only the first `channels`."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _pointer(context, builder, array, values[1], values[2], value)
        size = array.dtype.bitwidth // 8
        if not width.masked:
            builder.store(values[4], pointer).align = size
        else:
            arguments = [values[4], pointer, ir.Constant(ir.IntType(32), size), _mask(builder, values[3])]
            _call(builder, f"llvm.masked.store.{_suffix(array)}.p0", ir.VoidType(), arguments)
        return context.get_dummy_value()

    return types.void(width, array, types.intp, types.intp, value), codegen


@intrinsic
def spread(typingctx: Any, array: Any, value: Any) -> Any:
    """Return `value`, as the array's type, in all lanes."""
    lanes = Lanes(array.dtype)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _spread(builder, context.cast(builder, values[1], value, array.dtype))

    return lanes(array, value), codegen


@intrinsic
def add(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a + b."""
    return a(a, a), lambda context, builder, signature, values: builder.fadd(*values)


@intrinsic
def multiply(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a * b."""
    return a(a, a), lambda context, builder, signature, values: builder.fmul(*values)


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


def _mask(builder: Any, channels: Any) -> Any:
    numbers = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(range(LANES)))
    return builder.icmp_signed("<", numbers, _spread(builder, builder.trunc(channels, ir.IntType(32))))


def _suffix(array: Any) -> str:
    return f"v{LANES}{'f' if isinstance(array.dtype, types.Float) else 'i'}{array.dtype.bitwidth}"


def _call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), arguments)
