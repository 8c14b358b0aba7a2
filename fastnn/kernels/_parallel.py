"""The driver that runs a kernel's chunks: on the thread pool, or in a loop.

A kernel is a serial function of a chunk number, `task(chunk, *args)`. `run(task, n, work, args)` calls it for every
chunk in range(n). The cut into chunks depends on the shapes only, never on the thread count, so results have the same
bits for any number of threads. Each thread starts on its own run of neighbouring chunks (what it left in its cache in
the last operation is mostly what it needs in the next) and then helps the others.

It is an intrinsic, because a `prange` wrapper compiles in 0.8-1.0 s per kernel and this one in 0.15 s.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._pool import LIMIT, emit_pool_address, launch
from ._slots import emit_call

# Work (multiply-adds / 16, or elements moved) below which one thread is faster than waking a second.
SMALL = 32768
_LINE = 8  # counters stand 8 int64 apart: one cache line each


@intrinsic
def run(typingctx: Any, task: Any, n: Any, work: Any, args: Any) -> Any:
    """Call task(chunk, *args) for every chunk in range(n). `work`: see SMALL. The task must not raise."""
    return _emit_run(task, args, ())


@intrinsic
def run_in_places(typingctx: Any, task: Any, n: Any, work: Any, args: Any) -> Any:
    """As `run`, task(chunk, place, *args): no two threads have the same place, a number below n, at one time.

    A thread's chunks so share memory, which stays in its L2.
    """
    return _emit_run(task, args, (types.intp,))


def _emit_run(task: Any, args: Any, place: Any) -> Any:
    arguments = (types.intp, *place, *(types.unliteral(a) for a in args))

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        launch()  # the code below calls the pool by its symbol
        _, n, work, packed = values
        i64 = ir.IntType(64)
        one = ir.Constant(i64, 1)
        address = task.dispatcher.emit_address(context, builder, arguments)
        call_task = _task_caller(context, arguments, len(place))
        limit = builder.inttoptr(builder.add(emit_pool_address(builder), ir.Constant(i64, 8 * LIMIT)), i64.as_pointer())
        threads = builder.load(limit)
        threads = builder.select(builder.icmp_signed("<", threads, n), threads, n)
        small = builder.icmp_signed("<", work, ir.Constant(i64, SMALL))
        alone = builder.icmp_signed("<=", threads, one)
        with builder.if_else(builder.or_(small, alone)) as (serial, parallel):
            with serial, cgutils.for_range(builder, n) as loop:
                call_task(builder, address, loop.index, ir.Constant(i64, 0), packed)
            with parallel:
                counters = builder.alloca(i64, builder.mul(threads, ir.Constant(i64, _LINE)))
                with cgutils.for_range(builder, threads) as loop:
                    slot = builder.gep(counters, [builder.mul(loop.index, ir.Constant(i64, _LINE))])
                    builder.store(builder.sdiv(builder.mul(loop.index, n), threads), slot)
                shared = cgutils.pack_struct(builder, [address, packed, n, threads, counters])
                data = cgutils.alloca_once_value(builder, shared)
                function = _thread_function(builder.module, shared.type, call_task)
                region_type = ir.FunctionType(ir.VoidType(), [i64] * 3)
                region = cgutils.get_or_insert_function(builder.module, region_type, "fastnn_pool_region")
                builder.call(region, [builder.ptrtoint(function, i64), builder.ptrtoint(data, i64), threads])
        return context.get_dummy_value()

    return types.void(task, types.intp, types.intp, args), codegen


def _task_caller(context: Any, arguments: Any, places: int) -> Any:
    """Return a function that emits the call of a task at an address, with all of `args` packed in a struct."""

    def call(builder: Any, address: Any, chunk: Any, thread: Any, packed: Any) -> None:
        first = [chunk, thread][: 1 + places]
        unpacked = [builder.extract_value(packed, i) for i in range(len(arguments) - len(first))]
        emit_call(context, builder, address, arguments, [*first, *unpacked])

    return call


def _thread_function(module: Any, shared_type: Any, call_task: Any) -> Any:
    """Emit the function (data, thread) that takes chunks: first those of its own range, then those of the others'."""
    i64 = ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [i64, i64]), module.get_unique_name(".chunks"))
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    shared = builder.load(builder.inttoptr(function.args[0], shared_type.as_pointer()))
    address, packed, n, threads, counters = (builder.extract_value(shared, i) for i in range(5))
    with cgutils.for_range(builder, threads) as turn:
        owner = builder.srem(builder.add(function.args[1], turn.index), threads)
        end = builder.sdiv(builder.mul(builder.add(owner, ir.Constant(i64, 1)), n), threads)
        counter = builder.gep(counters, [builder.mul(owner, ir.Constant(i64, _LINE))])
        take, work, done = (builder.append_basic_block(name) for name in ("take", "work", "done"))
        builder.branch(take)
        builder.position_at_end(take)
        chunk = builder.atomic_rmw("add", counter, ir.Constant(i64, 1), "monotonic")
        builder.cbranch(builder.icmp_signed("<", chunk, end), work, done)
        builder.position_at_end(work)
        call_task(builder, address, chunk, function.args[1], packed)
        builder.branch(take)
        builder.position_at_end(done)
    builder.ret_void()
    return function
