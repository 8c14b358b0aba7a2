"""The activations that dense and convolution kernels apply to outputs that still lie in the cache.

ReLU costs nothing inside the register tile. The others are applied to what a chunk has just written, through a task, so
that they are compiled once, when they are wanted, and not into every kernel.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ._jit import kernel
from ._simd import PAIRS
from ._simd import RELU as RELU_FLAG
from ._slots import emit_call
from .activation import RELU, activate_span


@kernel
def _activate(activation, alpha, values, count):
    span = _array(values, count)
    activate_span(activation, alpha, span, 0, count, span)


@intrinsic
def _array(typingctx: Any, values: Any, count: Any) -> Any:
    """Return the `count` numbers from a pointer on as an array."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.return_type
        array = context.make_array(array_type)(context, builder)
        size = context.get_constant(types.intp, array_type.dtype.bitwidth // 8)
        populate_array(array, arguments[0], [arguments[1]], [size], size, None)
        return array._getvalue()

    return types.Array(values.dtype, 1, "C")(values, types.intp), codegen


def _types(like: Any) -> tuple[Any, ...]:
    """The argument types of `_activate` for results of a product of arrays like this one: float32 of pairs."""
    return types.intp, types.float64, types.CPointer(types.float32 if like.dtype == PAIRS else like.dtype), types.intp


@intrinsic
def prepare(typingctx: Any, like: Any, activation: Any) -> Any:
    """Compile or load what `activate` needs for this activation; an operation that uses it begins so."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        with builder.if_then(builder.icmp_signed(">", arguments[1], ir.Constant(ir.IntType(64), RELU))):
            _activate.emit_address(context, builder, _types(like))
        return context.get_dummy_value()

    return types.void(like, types.intp), codegen


@intrinsic
def activate(typingctx: Any, like: Any, activation: Any, alpha: Any, values: Any, count: Any) -> Any:
    """Replace the `count` elements at the address `values` by f of them. Not for RELU: see `tile_flags`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, activation, alpha, values, count = arguments
        zero, kinds = ir.Constant(ir.IntType(64), 0), _types(like)
        with builder.if_then(builder.icmp_signed(">", activation, ir.Constant(ir.IntType(64), RELU))):
            address = _activate.emit_address(context, builder, kinds, link=False)
            with builder.if_then(builder.icmp_signed("!=", address, zero)):
                span = builder.inttoptr(values, context.get_value_type(kinds[2]))
                emit_call(context, builder, address, kinds, [activation, alpha, span, count])
        return context.get_dummy_value()

    return types.void(like, types.intp, types.float64, types.intp, types.intp), codegen


@intrinsic
def tile_flags(typingctx: Any, activation: Any) -> Any:
    """Return the tile's flags for an activation."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i64 = ir.IntType(64)
        is_relu = builder.icmp_signed("==", arguments[0], ir.Constant(i64, RELU))
        return builder.select(is_relu, ir.Constant(i64, RELU_FLAG), ir.Constant(i64, 0))

    return types.intp(types.intp), codegen
