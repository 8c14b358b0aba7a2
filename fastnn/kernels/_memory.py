"""Blocks of memory: copies, transposes and pairing by vectors, addresses of elements, buffers on the stack."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ._emitter import VECTOR_BYTES, Emitter
from ._jit import Primitive
from ._simd import PAIRS, call, lanes

WAYS = 8  # cache lines that a set of L1 holds; all that are a multiple of 4 KB apart fall into one


def _emit_transpose(
    emit: Emitter, masked: bool, source: Any, source_row: Any, to: Any, to_row: Any, rows: Any, columns: Any
) -> None:
    """Emit the transpose of one block of vectors, in log2(lanes) steps that swap ever larger off-diagonal squares."""
    builder, n = emit.builder, emit.lanes

    def masks(count: Any, length: Any) -> list[Any]:
        """The mask of `length` lanes for the first `count` vectors, of none for the others."""
        if not masked:
            return [None] * n
        inside, nothing = emit.mask(length), ir.Constant(emit.mask_type, [0] * n)
        return [builder.select(builder.icmp_signed("<", emit.const(i), count), inside, nothing) for i in range(n)]

    def at(base: Any, row: Any, i: int) -> Any:
        return builder.add(base, builder.mul(row, emit.const(i)))

    block = [emit.load(at(source, source_row, i), 0, mask) for i, mask in enumerate(masks(rows, columns))]
    distance = 1
    while distance < n:
        index = [i for i in range(n) if not i & distance]
        low = [i if not i & distance else n + i - distance for i in range(n)]
        high = [i + distance if not i & distance else n + i for i in range(n)]
        pattern = ir.VectorType(emit.i32, n)
        for i in index:
            pair = block[i], block[i + distance]
            block[i] = builder.shuffle_vector(*pair, ir.Constant(pattern, low))
            block[i + distance] = builder.shuffle_vector(*pair, ir.Constant(pattern, high))
        distance *= 2
    for i, mask in enumerate(masks(columns, rows)):
        emit.store(block[i], at(to, to_row, i), 0, mask)


def _make_transpose_block(bits: int) -> Any:
    @intrinsic
    def transpose_block(
        typingctx: Any, source: Any, source_row: Any, to: Any, to_row: Any, rows: Any, columns: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            emit = Emitter(builder, bits)
            source, source_row, to, to_row, rows, columns = values
            source_row, to_row = (builder.mul(v, emit.const(emit.bytes)) for v in (source_row, to_row))
            full = builder.icmp_signed("==", builder.add(rows, columns), emit.const(2 * emit.lanes))
            with builder.if_else(full) as (whole, part):
                with whole:
                    _emit_transpose(emit, False, source, source_row, to, to_row, rows, columns)
                with part:
                    _emit_transpose(emit, True, source, source_row, to, to_row, rows, columns)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6), codegen

    return transpose_block


def _make_transpose(transpose_block: Any, lanes: int) -> Any:
    itemsize = VECTOR_BYTES // lanes

    def transpose(rows: int, columns: int, source: int, source_row: int, to: int, to_row: int) -> None:
        # The last block may overlap the one before it: whole blocks need no masks.
        for block in range(0, rows, lanes):
            i = max(0, min(block, rows - lanes))
            for across in range(0, columns, lanes):
                j = max(0, min(across, columns - lanes))
                transpose_block(
                    source + (i * source_row + j) * itemsize, source_row, to + (j * to_row + i) * itemsize, to_row,
                    min(lanes, rows - i), min(lanes, columns - j),
                )  # fmt: skip

    return transpose


def _make_copy_vector(bits: int) -> Any:
    @intrinsic
    def copy_vector(typingctx: Any, source: Any, to: Any, count: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            emit = Emitter(builder, bits)
            source, to, count = values
            with builder.if_else(builder.icmp_signed(">=", count, emit.const(emit.lanes))) as (whole, part):
                with whole:
                    emit.store(emit.load(source, 0), to, 0)
                with part:
                    mask = emit.mask(count)
                    emit.store(emit.load(source, 0, mask), to, 0, mask)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 3), codegen

    return copy_vector


def _make_copy(copy_vector: Any, lanes: int) -> Any:
    itemsize = VECTOR_BYTES // lanes

    def copy(rows: int, columns: int, source: int, source_row: int, to: int, to_row: int) -> None:
        for i in range(rows):
            for j in range(0, columns, lanes):
                copy_vector(source + (i * source_row + j) * itemsize, to + (i * to_row + j) * itemsize, columns - j)

    return copy


@intrinsic
def _pair_vector(typingctx: Any, first: Any, second: Any, to: Any, count: Any, seconds: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        emit = Emitter(builder, 32)
        first, second, to, count, seconds = values
        with builder.if_else(builder.icmp_signed(">=", seconds, emit.const(emit.lanes))) as (whole, part):
            with whole:
                emit.store(emit.pair(emit.load(first, 0), emit.load(second, 0)), to, 0)
            with part:
                mask, rest = emit.mask(count), emit.mask(seconds)
                emit.store(emit.pair(emit.load(first, 0, mask), emit.load(second, 0, rest)), to, 0, mask)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), codegen


def _pair(
    rows: int, columns: int, seconds: int, first: int, second: int, source_row: int, to: int, to_row: int
) -> None:
    step = VECTOR_BYTES // 4
    for i in range(rows):
        for j in range(0, columns, step):
            at = (i * source_row + j) * 4
            _pair_vector(first + at, second + at, to + (i * to_row + j) * 4, columns - j, seconds - j)


_BLOCK = types.void(*[types.intp] * 6)
_transpose_block32, _transpose_block64 = _make_transpose_block(32), _make_transpose_block(64)
_copy_vector32, _copy_vector64 = _make_copy_vector(32), _make_copy_vector(64)
_PRIMITIVES = {
    ("transpose", types.float32): Primitive(
        _make_transpose(_transpose_block32, lanes(np.float32)), "transpose_f32", _BLOCK
    ),
    ("transpose", types.float64): Primitive(
        _make_transpose(_transpose_block64, lanes(np.float64)), "transpose_f64", _BLOCK
    ),
    ("copy", types.float32): Primitive(_make_copy(_copy_vector32, lanes(np.float32)), "copy_f32", _BLOCK),
    ("copy", types.float64): Primitive(_make_copy(_copy_vector64, lanes(np.float64)), "copy_f64", _BLOCK),
    ("pair", PAIRS): Primitive(_pair, "pair_bf16", types.void(*[types.intp] * 8)),
}
for _name in ("transpose", "copy"):  # a pair moves as one number
    _PRIMITIVES[_name, PAIRS] = _PRIMITIVES[_name, types.float32]


@intrinsic
def transpose(
    typingctx: Any, like: Any, rows: Any, columns: Any, source: Any, source_row: Any, to: Any, to_row: Any
) -> Any:
    """to[j, i] = source[i, j] for i < rows, j < columns. Addresses; row strides in elements."""
    return call(_PRIMITIVES["transpose", like.dtype], like, 6)


@intrinsic
def copy(typingctx: Any, like: Any, rows: Any, columns: Any, source: Any, source_row: Any, to: Any, to_row: Any) -> Any:
    """to[i, j] = source[i, j] for i < rows, j < columns. Addresses; row strides in elements."""
    return call(_PRIMITIVES["copy", like.dtype], like, 6)


@intrinsic
def pair(
    typingctx: Any, like: Any, rows: Any, columns: Any, seconds: Any, first: Any, second: Any, source_row: Any, to: Any,
    to_row: Any,
) -> Any:  # fmt: skip
    """to[i, j] = the bf16 of first[i, j] and of second[i, j], where j >= seconds of 0, for i < rows, j < columns.

    `like`: an array of pairs. Addresses; row strides in elements; first and second are float32.
    """
    return call(_PRIMITIVES["pair", like.dtype], like, 8)


@intrinsic
def numbers(typingctx: Any, like: Any) -> Any:
    """Return how many numbers an element of the array `like` holds: 2 in a pair of bf16, else 1."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(ir.IntType(64), 2 if like.dtype == PAIRS else 1)

    return types.intp(like), codegen


@intrinsic
def pairs_in(typingctx: Any, scratch: Any, offset: Any, shape: Any) -> Any:
    """Return the part of the float32 array `scratch` from `offset` on as an array of pairs of this shape."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        scratch, offset, shape = values
        array_type, i64 = signature.return_type, ir.IntType(64)
        array = context.make_array(array_type)(context, builder)
        data = context.make_array(signature.args[0])(context, builder, scratch).data
        start = builder.bitcast(builder.gep(data, [offset]), context.get_data_type(array_type.dtype).as_pointer())
        sizes, strides = cgutils.unpack_tuple(builder, shape), [ir.Constant(i64, 4)]
        for size in reversed(sizes[1:]):
            strides.insert(0, builder.mul(strides[0], size))
        populate_array(array, data=start, shape=sizes, strides=strides, itemsize=ir.Constant(i64, 4), meminfo=None)
        return array._getvalue()

    return types.Array(PAIRS, len(shape), "C")(scratch, types.intp, shape), codegen


@intrinsic
def address(typingctx: Any, array: Any, offset: Any) -> Any:
    """Return the address of the element at `offset` in the C-contiguous `array`."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.ptrtoint(builder.gep(data, [values[1]]), ir.IntType(64))

    return types.intp(array, types.intp), codegen


@intrinsic
def ask(typingctx: Any, address: Any) -> Any:
    """Ask for the cache line at the address, which is going to be read, into L2."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        Emitter(builder, 32).prefetch(values[0], 0, level=2)
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@intrinsic
def one(typingctx: Any, like: Any) -> Any:
    """Return the address of a 1 of the type of the array `like`: with strides of 0, gemm then adds rows up."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        value = ir.Constant(context.get_value_type(like.dtype), 0x3F803F80 if like.dtype == PAIRS else 1.0)
        return builder.ptrtoint(cgutils.global_constant(builder.module, "one", value), ir.IntType(64))

    return types.intp(like), codegen


@intrinsic(prefer_literal=True)
def stack(typingctx: Any, size: Any) -> Any:
    """Return the address of `size` (a constant) bytes on the stack, cache-line aligned, valid in this call only."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        with builder.goto_entry_block():
            memory = builder.alloca(ir.IntType(8), ir.Constant(ir.IntType(64), size.literal_value))
            memory.align = 64
        return builder.ptrtoint(memory, ir.IntType(64))

    return types.intp(size), codegen


@intrinsic(prefer_literal=True)
def stack_array(typingctx: Any, like: Any, size: Any) -> Any:
    """Return a new 1-D array of `size` (a constant) elements of like's type on the stack, valid in this call only."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.return_type)(context, builder)
        element = context.get_data_type(signature.return_type.dtype)
        with builder.goto_entry_block():
            memory = builder.alloca(element, ir.Constant(ir.IntType(64), size.literal_value))
            memory.align = 64
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(element))
        shape = context.get_constant(types.intp, size.literal_value)
        populate_array(array, data=memory, shape=[shape], strides=[itemsize], itemsize=itemsize, meminfo=None)
        return array._getvalue()

    return types.Array(like.dtype, 1, "C")(like, size), codegen
