"""The thread pool: workers that spin for a moment, then sleep, and a caller that never waits for one who is late.

A region is a function fn(data, thread) that takes chunks from shared counters until none is left. The caller opens the
pool's gate, works itself, closes the gate when no chunk is left and waits only for the workers inside. A worker that
the system has not scheduled yet costs nothing; with the usual barrier (OpenMP's, which Numba's pool uses) another busy
process on the machine makes a training step 30 times slower. One caller has the pool at a time; others run their
regions alone, so kernels may be called from any thread. A forked child has no workers and runs alone too.

Workers are Python daemon threads that stay in compiled code. Their state is a block of memory that compiled code finds
by its symbol.

Linux may wake a worker on its caller's CPU while others are idle: on a KVM guest a halted CPU counts as taken by
somebody else. There it would wait for the caller, find the gate closed and sleep again, for seconds: dense products of
400^3 after a rest of 80 ms went at 92 GFLOP/s with two threads, and go at 190. So whoever wakes workers takes their own
CPU off the workers' masks, which these restore when they are awake.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import Primitive, kernel

# The block, in int64; what different threads write lies on cache lines of its own.
LIMIT = 0  # most threads that a region may use
FUNCTION, DATA, WANTED = 1, 2, 3  # of the open region; WANTED: its number of threads
GENERATION = 8  # counts regions; workers watch it and sleep on it
GATE = 16  # number of workers inside, plus CLOSED
BUSY = 24  # 1 while a caller has the pool
SLEEPERS = 32
RECORDS = 40  # the address of the workers' records
SIZE = 48

# A worker's record, in int64: its system thread, its mask's length in bytes while that is changed, the mask, its change
THREAD, CHANGED, MASK, CHANGE, RECORD = 0, 1, 8, 24, 40
MASK_BYTES = 8 * (CHANGE - MASK)  # for 1024 CPUs

CLOSED = 1 << 40
# Numbers of Linux' system calls, 0 where they are not there; and futex's operations on private memory (linux/futex.h)
_SYSTEM = {"x86_64": (202, 203, 204), "aarch64": (98, 122, 123)} if sys.platform == "linux" else {}
FUTEX, SET_AFFINITY, GET_AFFINITY = _SYSTEM.get(platform.machine(), (0, 0, 0))
AFFINITY = GET_AFFINITY > 0
_WAIT, _WAKE = 128, 129
SPINS = 20_000  # before a worker sleeps, 0.25 to 0.5 ms: longer than what Python takes between two calls of train_batch
YIELD = 2000  # spins before the caller lets the system run a worker that was interrupted inside

_raw = (ctypes.c_int64 * (SIZE + 8))()
_address = (ctypes.addressof(_raw) + 63) // 64 * 64
_block = (ctypes.c_int64 * SIZE).from_address(_address)
_records: Any = None
_lock = threading.Lock()
_forked = False
llvm.add_symbol("fastnn_pool", _address)


def launch() -> None:
    """Start the workers, unless they run."""
    global _records
    with _lock:
        if _block[LIMIT] == 0:
            _block[GATE] = CLOSED
            _region.link()
            _worker.link()
            _records = (ctypes.c_int64 * (RECORD * pool_size()))()
            _block[RECORDS] = ctypes.addressof(_records)
            work = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(_worker.address)
            for index in range(1, pool_size()):
                worker = threading.Thread(target=work, args=(_address, index), name=f"fastnn-{index}", daemon=True)
                worker.start()
                _records[RECORD * index + THREAD] = worker.native_id
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_become_serial)
            _block[LIMIT] = pool_size()


def _become_serial() -> None:
    global _forked, _lock
    _forked, _lock = True, threading.Lock()  # another thread may have held the parent's lock
    _block[LIMIT] = 1


def get_limit() -> int:
    """Return how many threads kernels use."""
    launch()
    return _block[LIMIT]


def set_limit(n: int) -> None:
    """Let kernels use n threads, 1 <= n <= pool_size(), in the whole process."""
    launch()
    _block[LIMIT] = n


def pool_size() -> int:
    """Return the number of threads, callers included: NUMBA_NUM_THREADS, or the number of CPUs; 1 in a forked child."""
    return 1 if _forked else int(config.NUMBA_NUM_THREADS)


def waiting() -> str:
    """Return how an idle worker waits: "futex" or, where the system has none, "timer"."""
    return "futex" if FUTEX else "timer"


def _work(pool, index):
    """Worker number `index`: run through the gate whenever the generation changes. Never returns."""
    seen = _load(pool + 8 * GENERATION)
    spins = 0
    while True:
        generation = _load(pool + 8 * GENERATION)
        if generation == seen:
            spins += 1
            if spins < SPINS:
                _pause()
            else:
                _add(pool + 8 * SLEEPERS, 1)
                _sleep(pool + 8 * GENERATION, seen, spins - SPINS)
                _add(pool + 8 * SLEEPERS, -1)
            continue
        seen, spins = generation, 0
        _restore_mask(pool, index)
        if _add(pool + 8 * GATE, 1) < CLOSED and index < _load(pool + 8 * WANTED):
            _call(_load(pool + 8 * FUNCTION), _load(pool + 8 * DATA), index)
        _add(pool + 8 * GATE, -1)


def _run_region(function, data, threads):
    """Run function(data, 0) here and function(data, 1..threads-1) on the workers who come in time."""
    pool = _pool_address()
    if _exchange(pool + 8 * BUSY, 1) != 0:
        _call(function, data, 0)
        return
    _store(pool + 8 * FUNCTION, function)
    _store(pool + 8 * DATA, data)
    _store(pool + 8 * WANTED, threads)
    _add(pool + 8 * GATE, -CLOSED)
    _add(pool + 8 * GENERATION, 1)
    if _load(pool + 8 * SLEEPERS) > 0:
        _change_masks(pool, threads)
        _wake(pool + 8 * GENERATION)
    _call(function, data, 0)
    _add(pool + 8 * GATE, CLOSED)
    spins = 0
    while _load(pool + 8 * GATE) != CLOSED:
        spins += 1
        if spins % YIELD == 0:
            _yield()
        else:
            _pause()
    _store(pool + 8 * BUSY, 0)


@kernel
def _change_masks(pool, threads):
    """Keep the workers off this CPU, those that have another."""
    if not AFFINITY:
        return
    cpu = _current_cpu()
    for index in range(1, threads):
        record = _load(pool + 8 * RECORDS) + 8 * RECORD * index
        thread, mask, change = _load(record + 8 * THREAD), record + 8 * MASK, record + 8 * CHANGE
        length = 0
        if thread != 0 and _load(record + 8 * CHANGED) == 0:
            length = _system(GET_AFFINITY, thread, MASK_BYTES, mask, 0)
        others = 0
        for word in range(0, length, 8):
            kept = _load(mask + word)
            if word == cpu // 64 * 8:
                kept &= ~(1 << cpu % 64)
            others |= kept
            _store(change + word, kept)
        if others != 0 and _system(SET_AFFINITY, thread, length, change, 0) == 0:
            _store(record + 8 * CHANGED, length)


@kernel
def _restore_mask(pool, index):
    """Run on any CPU again."""
    record = _load(pool + 8 * RECORDS) + 8 * RECORD * index
    length = _load(record + 8 * CHANGED)
    if length > 0:
        _system(SET_AFFINITY, 0, length, record + 8 * MASK, 0)
        _store(record + 8 * CHANGED, 0)


_I64, _I32 = ir.IntType(64), ir.IntType(32)


def _at(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _I64.as_pointer())


@intrinsic
def _pool_address(typingctx: Any) -> Any:
    return types.int64(), lambda context, builder, signature, values: emit_pool_address(builder)


def emit_pool_address(builder: Any) -> Any:
    """Emit the address of the pool's block."""
    module = builder.module
    if "fastnn_pool" not in module.globals:
        ir.GlobalVariable(module, _I64, "fastnn_pool")
    return builder.ptrtoint(module.globals["fastnn_pool"], _I64)


@intrinsic
def _load(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load_atomic(_at(builder, values[0]), "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def _store(typingctx: Any, address: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store_atomic(values[1], _at(builder, values[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _read_modify_write(operation: str) -> Any:
    @intrinsic
    def function(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.atomic_rmw(operation, _at(builder, values[0]), values[1], "seq_cst")

        return types.int64(types.int64, types.int64), codegen

    return function


_add, _exchange = _read_modify_write("add"), _read_modify_write("xchg")  # return the old value


@intrinsic
def _call(typingctx: Any, function: Any, data: Any, thread: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function_type = ir.FunctionType(ir.VoidType(), [_I64, _I64])
        builder.call(builder.inttoptr(values[0], function_type.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def _pause(typingctx: Any) -> Any:
    """Tell the core that this is a waiting loop."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if llvm.get_process_triple().startswith("x86_64"):
            _declare(builder, "llvm.x86.sse2.pause", ir.VoidType(), [])
        elif llvm.get_process_triple().startswith(("aarch64", "arm64")):
            _declare(builder, "llvm.aarch64.hint", ir.VoidType(), [ir.Constant(_I32, 1)])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _yield(typingctx: Any) -> Any:
    """Let the system run another thread on this core."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _declare(builder, "SwitchToThread" if os.name == "nt" else "sched_yield", _I32, [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _sleep(typingctx: Any, address: Any, seen: Any, turn: Any) -> Any:
    """Sleep while the number at the address is `seen`; without futexes sleep a little, the longer the more turns."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, seen, turn = values
        if FUTEX:
            _emit_system(builder, FUTEX, [address, ir.Constant(_I64, _WAIT), seen, ir.Constant(_I64, 0)])
        elif os.name == "nt":
            _declare(builder, "Sleep", ir.VoidType(), [ir.Constant(_I32, 1)])
        else:
            short = builder.icmp_signed("<", turn, ir.Constant(_I64, 20))
            _declare(builder, "usleep", _I32, [builder.select(short, ir.Constant(_I32, 50), ir.Constant(_I32, 1000))])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def _wake(typingctx: Any, address: Any) -> Any:
    """Wake all who sleep on the address."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if FUTEX:
            count = ir.Constant(_I64, 1 << 30)
            _emit_system(builder, FUTEX, [values[0], ir.Constant(_I64, _WAKE), count, ir.Constant(_I64, 0)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def _current_cpu(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.sext(_declare(builder, "sched_getcpu", _I32, []), _I64)

    return types.int64(), codegen


@intrinsic
def _system(typingctx: Any, number: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """A system call's result; -1 where it failed."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _emit_system(builder, values[0], values[1:])

    return types.int64(*[types.int64] * 5), codegen


def _emit_system(builder: Any, number: Any, arguments: list[Any]) -> Any:
    number = ir.Constant(_I64, number) if isinstance(number, int) else number
    function_type = ir.FunctionType(_I64, [_I64], var_arg=True)
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, "syscall"), [number, *arguments])


def _declare(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Emit a call of an external function."""
    function_type = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), arguments)


_worker = Primitive(_work, "pool_worker", types.void(types.int64, types.int64))
_region = Primitive(_run_region, "pool_region", types.void(types.int64, types.int64, types.int64))
