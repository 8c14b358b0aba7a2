"""The driver that runs a kernel's chunks: on Numba's thread pool, or in a loop.

A kernel is a serial function of a chunk number, `task(chunk, *args)`. `run(task, n, work, args)` calls it for every chunk
in range(n). The cut into chunks depends on the shapes only, never on the thread count, so results have the same bits for
any number of threads. Each thread starts on its own run of neighbouring chunks (what it left in its cache in the last
operation is mostly what it needs in the next) and then helps the others.

The driver leans on private parts of Numba (`numba_parallel_for`), because a prange wrapper compiles in 0.8-1.0 s per
kernel and this one in 0.15 s. FASTNN_DRIVER=prange chooses the public way, which a test runs too.

No threading layer is safe everywhere: omp ends a forked child that starts a parallel region, workqueue aborts when two
threads start one. So a forked child runs serially, and so does every thread but the main one under workqueue.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import warnings
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.ufunc import parallel as pool

# Work (in multiply-adds or elements moved, whichever is larger) below which starting the pool costs more than it saves:
# the omp layer starts in 2-5 us, in which one core does about 300,000 multiply-adds or moves 30,000 elements.
SMALL = 32768
LAYERS = ("omp", "tbb", "workqueue")
_LINE = 8  # counters stand 8 int64 apart: one cache line each


_limit = ctypes.c_int64(0)  # most threads that a kernel may use; compiled code reads it
_forked = False
_lock = threading.Lock()


def launch() -> None:
    """Choose the threading layer and start the pool. The driver's symbols are known to the linker from then on."""
    with _lock:
        if _limit.value == 0:
            _start_pool()
            llvm.add_symbol("fastnn_thread_limit", ctypes.addressof(_limit))
            llvm.add_symbol("fastnn_on_main_thread", ctypes.cast(_on_main_thread, ctypes.c_void_p).value)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_become_serial)
            _limit.value = pool.get_num_threads()


@ctypes.CFUNCTYPE(ctypes.c_int64)
def _on_main_thread() -> int:
    return int(threading.current_thread() is threading.main_thread())


def _become_serial() -> None:
    global _forked
    _forked = True
    _limit.value = 1


def get_limit() -> int:
    """Return how many threads kernels use."""
    launch()
    return _limit.value


def set_limit(n: int) -> None:
    """Let kernels use n threads, 1 <= n <= pool_size(), in the whole process."""
    launch()
    if not _forked:
        _limit.value = n


def pool_size() -> int:
    """Return the number of threads in the pool: NUMBA_NUM_THREADS, or the number of CPUs; 1 in a forked child."""
    return 1 if _forked else int(numba.config.NUMBA_NUM_THREADS)


def _start_pool() -> None:
    if pool._is_initialized:
        return
    if numba.config.THREADING_LAYER != "default":  # the user chose by NUMBA_THREADING_LAYER
        pool._launch_threads()
        return
    for layer in LAYERS:
        numba.config.THREADING_LAYER = layer
        try:
            pool._launch_threads()
            break
        except ValueError:
            continue
        finally:
            numba.config.THREADING_LAYER = "default"
    if pool._threading_layer == "workqueue":
        hint = "brew install libomp" if sys.platform == "darwin" else "install the package libgomp1 (or libgomp)"
        warnings.warn(
            f"fastnn: no OpenMP runtime found, parallel kernels start 10-40 times slower; {hint}", RuntimeWarning, stacklevel=2
        )


def layer() -> str:
    """Return the name of the threading layer in use: "omp", "tbb" or "workqueue"."""
    launch()
    return str(pool._threading_layer)


def _task_caller(context: Any, task: Any, signature: Any) -> Any:
    """Return a function that emits task(chunk, *arguments), the arguments being packed in a struct."""
    compiled = task.dispatcher.get_compile_result(signature)
    context.active_code_library.add_linking_library(compiled.library)

    def call(builder: Any, chunk: Any, packed: Any) -> None:
        unpacked = [builder.extract_value(packed, i) for i in range(len(signature.args) - 1)]
        context.call_internal_no_propagate(builder, compiled.fndesc, signature, [chunk, *unpacked])

    return call


@intrinsic
def _run_on_pool(typingctx: Any, task: Any, n: Any, work: Any, args: Any) -> Any:
    task_signature = task.get_call_type(typingctx, (types.intp, *args), {})

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, n, work, packed = values
        i64, byte_ptr = ir.IntType(64), ir.IntType(8).as_pointer()
        one, zero = ir.Constant(i64, 1), ir.Constant(i64, 0)
        call_task = _task_caller(context, task, task_signature)
        threads = _emit_thread_count(builder)
        small = builder.icmp_signed("<", work, ir.Constant(i64, SMALL))
        alone = builder.icmp_signed("<=", threads, one)
        with builder.if_else(builder.or_(builder.or_(small, alone), builder.icmp_signed("<=", n, one))) as (serial, parallel):
            with serial, cgutils.for_range(builder, n) as loop:
                call_task(builder, loop.index, packed)
            with parallel:
                threads = builder.select(builder.icmp_signed("<", threads, n), threads, n)
                counters = builder.alloca(i64, builder.mul(threads, ir.Constant(i64, _LINE)))
                with cgutils.for_range(builder, threads) as loop:
                    slot = builder.gep(counters, [builder.mul(loop.index, ir.Constant(i64, _LINE))])
                    builder.store(builder.sdiv(builder.mul(loop.index, n), threads), slot)
                shared = cgutils.pack_struct(builder, [packed, n, threads, counters])
                trampoline = _trampoline(builder.module, shared.type, call_task)
                slots = [cgutils.alloca_once_value(builder, v) for v in (ir.Constant(byte_ptr, None), threads, one, shared)]
                run_type = ir.FunctionType(ir.VoidType(), [byte_ptr] * 5 + [i64] * 3)
                run = cgutils.get_or_insert_function(builder.module, run_type, "numba_parallel_for")
                pointers = [builder.bitcast(p, byte_ptr) for p in (trampoline, *slots)]
                builder.call(run, [*pointers, zero, one, threads])
        return context.get_dummy_value()

    return types.void(task, types.intp, types.intp, args), codegen


def _emit_thread_count(builder: Any) -> Any:
    """Emit the number of threads to use: the limit, or 1 on a thread that must not start a parallel region."""
    i64, module = ir.IntType(64), builder.module
    if "fastnn_thread_limit" not in module.globals:
        ir.GlobalVariable(module, i64, "fastnn_thread_limit")
    limit = builder.load(module.globals["fastnn_thread_limit"])
    if layer() != "workqueue":
        return limit
    is_main = cgutils.get_or_insert_function(module, ir.FunctionType(i64, []), "fastnn_on_main_thread")
    on_main = builder.icmp_signed("!=", builder.call(is_main, []), ir.Constant(i64, 0))
    return builder.select(on_main, limit, ir.Constant(i64, 1))


def _trampoline(module: Any, shared_type: Any, call_task: Any) -> Any:
    """Emit the function that the pool calls as fn(args, dimensions, steps, data) for a range of thread numbers."""
    i64, byte_ptr = ir.IntType(64), ir.IntType(8).as_pointer()
    signature = ir.FunctionType(ir.VoidType(), [byte_ptr.as_pointer(), i64.as_pointer(), i64.as_pointer(), byte_ptr])
    function = ir.Function(module, signature, module.get_unique_name(".chunks"))
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    first = builder.ptrtoint(builder.load(function.args[0]), i64)  # arrives as base + step * first thread
    count = builder.load(function.args[1])
    shared = builder.load(builder.bitcast(function.args[3], shared_type.as_pointer()))
    packed, n, threads, counters = (builder.extract_value(shared, i) for i in range(4))
    with cgutils.for_range(builder, count) as own, cgutils.for_range(builder, threads) as turn:
        owner = builder.srem(builder.add(builder.add(first, own.index), turn.index), threads)
        end = builder.sdiv(builder.mul(builder.add(owner, ir.Constant(i64, 1)), n), threads)
        counter = builder.gep(counters, [builder.mul(owner, ir.Constant(i64, _LINE))])
        take, work, done = (builder.append_basic_block(name) for name in ("take", "work", "done"))
        builder.branch(take)
        builder.position_at_end(take)
        chunk = builder.atomic_rmw("add", counter, ir.Constant(i64, 1), "monotonic")
        builder.cbranch(builder.icmp_signed("<", chunk, end), work, done)
        builder.position_at_end(work)
        call_task(builder, chunk, packed)
        builder.branch(take)
        builder.position_at_end(done)
    builder.ret_void()
    return function


def _run_with_prange(task: Any, n: Any, work: Any, args: Any) -> None:
    """The driver in Numba's public means, for compiled code only."""


@overload(_run_with_prange, jit_options={"parallel": True})
def _prange_driver(task: Any, n: Any, work: Any, args: Any) -> Any:
    @intrinsic
    def thread_count(typingctx: Any) -> Any:
        return types.int64(), lambda context, builder, signature, values: _emit_thread_count(builder)

    @intrinsic
    def pack(typingctx: Any, args: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.ptrtoint(cgutils.alloca_once_value(builder, values[0]), ir.IntType(64))

        return types.intp(args), codegen

    @intrinsic
    def call(typingctx: Any, chunk: Any, at: Any) -> Any:
        task_signature = task.get_call_type(typingctx, (types.intp, *args), {})

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            packed_type = context.get_value_type(args)
            packed = builder.load(builder.inttoptr(values[1], packed_type.as_pointer()))
            _task_caller(context, task, task_signature)(builder, values[0], packed)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp), codegen

    def driver(task: Any, n: Any, work: Any, args: Any) -> None:
        at = pack(args)  # prange takes no tuples of numbers into its body, an address it does
        threads = thread_count()
        if work < SMALL or n <= 1 or threads <= 1:
            for chunk in range(n):
                call(chunk, at)
        else:
            numba.set_num_threads(threads)
            for chunk in prange(n):
                call(chunk, at)

    return driver


run = _run_with_prange if os.environ.get("FASTNN_DRIVER") == "prange" else _run_on_pool
