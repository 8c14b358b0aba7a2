"""Slots: where compiled code finds the addresses of tasks, which are compiled or loaded when it first gets to them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types

# By address: the slot, which holds 0 or the address of a task, and what fills it
_slots: dict[int, tuple[ctypes.c_int64, Callable[[], None]]] = {}
_I64, _LINKER = ir.IntType(64), "fastnn_link"


class LinkError(RuntimeError):
    """A task could not be compiled: an error in a kernel, or no memory."""

    cause: BaseException | None = None

    def __str__(self) -> str:
        reason = str(self.cause).partition("\n")[0]
        return f"a kernel could not be compiled: {type(self.cause).__name__}: {reason}"


def new(symbol: str, link: Callable[[], None]) -> ctypes.c_int64:
    """An empty slot under a symbol, which the linker then knows; `link` fills it."""
    slot = ctypes.c_int64(0)
    _slots[ctypes.addressof(slot)] = slot, link
    llvm.add_symbol(symbol, ctypes.addressof(slot))
    return slot


def fill_all() -> None:
    """Load or compile all tasks of the operations that were called, whether a call got to them or not."""
    for _, link in list(_slots.values()):
        link()


def emit_address(context: Any, builder: Any, symbol: str, link: bool) -> Any:
    """Emit the address in a slot, 0 where it is empty.

    link: fill it when the code first gets here; where that fails the operation raises. Not for tasks.
    """
    module = builder.module
    if symbol not in module.globals:
        ir.GlobalVariable(module, _I64, symbol)
    slot = module.globals[symbol]
    if link:
        with builder.if_then(builder.icmp_signed("==", builder.load(slot), ir.Constant(_I64, 0)), likely=False):
            linker = cgutils.get_or_insert_function(module, ir.FunctionType(_I64, [_I64]), _LINKER)
            failed = builder.call(linker, [builder.ptrtoint(slot, _I64)])
            for code, error in enumerate((LinkError, KeyboardInterrupt), 1):
                with builder.if_then(builder.icmp_signed("==", failed, ir.Constant(_I64, code)), likely=False):
                    context.call_conv.return_user_exc(builder, error, ())
    return builder.load(slot)


@ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
def _link(address: int) -> int:
    """What compiled code calls when it gets to an empty slot; 0 when it is filled, 1 or 2: see `emit_address`."""
    try:
        _slots[address][1]()
    except KeyboardInterrupt:
        return 2
    except BaseException as error:
        LinkError.cause = error
        return 1
    return 0


llvm.add_symbol(_LINKER, ctypes.cast(_link, ctypes.c_void_p).value)


def emit_call(context: Any, builder: Any, address: Any, arguments: Any, values: Any) -> None:
    """Emit the call of the task at an address with values of the types `arguments`."""
    function_type = context.call_conv.get_function_type(types.none, arguments)
    # A result and an exception: none come.
    unused = [cgutils.alloca_once(builder, kind.pointee) for kind in function_type.args[:2]]
    parts = context.get_arg_packer(arguments).as_arguments(builder, values)
    builder.call(builder.inttoptr(address, function_type.as_pointer()), [*unused, *parts])
