"""How kernels are compiled: the only place with Numba options.

`@kernel` compiles a function when it is first called with new argument types. `Primitive` compiles a function once per
machine for fixed types and publishes it under a symbol, so that kernels call it without compiling it again.

Numba compiles every function of a call tree by itself, and its code once more in each of its callers. Here machine code
is made of operations, tasks (what `run` calls) and primitives only, each without the others; helpers are inlined.
Tasks are compiled, or loaded, when an operation first gets to them: most have several, for shapes of different kinds.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import BuiltinFunctionType
from typing import Any, ClassVar

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, compiler, types
from numba.core.caching import NullCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.dispatcher import _FunctionCompiler
from numba.core.registry import CPUDispatcher, cpu_target
from numba.core.typing.templates import make_concrete_template

from . import _cache, _slots

OPTIONS: dict[str, Any] = {
    "_nrt": False,  # no reference counts: kernels allocate nothing, and what would does not compile
    "nogil": True,  # threads of a server may run kernels side by side
    "error_model": "numpy",  # no branch for division by zero: loops stay vectorisable
    # contract: fused multiply-add. reassoc: sums may be split over vector lanes. nsz, arcp: cheap algebra.
    # Never nnan or ninf: they delete NaN checks.
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
}
# For code whose rounding steps must stay in order; always inlined, because a loop around a call is not vectorised.
EXACT = OPTIONS | {"fastmath": {"contract"}, "forceinline": True}

# What compiled code calls by a symbol, by name and by symbol; `Need` is how a file on the disk says so.
_kernels: dict[str, _Dispatcher] = {}
_primitives: dict[str, Primitive] = {}
Need = tuple[str, Any]  # a task's name and argument types, or a primitive's symbol and None

# Called before an operation is compiled, and not where it is loaded: see fastnn/_ahead.py
on_miss: Callable[[], None] | None = None

# What this process compiled, and the seconds without those of what was compiled within.
compilations: list[tuple[str, float]] = []
_within = [0.0]


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` when it is first called, with OPTIONS and the disk cache."""
    return _Dispatcher(function, OPTIONS)


def exact(function: Callable[..., Any]) -> Any:
    """Compile `function` without reordering its arithmetic: for polynomials, range reductions and careful sums."""
    return _Dispatcher(function, EXACT)


class _Library(JITCodeLibrary):  # type: ignore[misc]
    """Compiled code, and what has to be linked before it is."""

    def __init__(self, codegen: Any, name: str) -> None:
        super().__init__(codegen, name)
        self.needs: set[Need] = set()
        self.enable_object_caching()

    def add_linking_library(self, library: Any) -> None:
        """As Numba's; what the other needs is needed here."""
        super().add_linking_library(library)
        self.needs |= getattr(library, "needs", set())

    def add_llvm_module(self, module: Any) -> None:
        """As Numba's without a first optimisation of each part: `_optimize_final_module` does all."""
        module.data_layout = self._codegen._data_layout
        self._final_module.link_in(module)

    def _optimize_final_module(self) -> None:
        """As Numba's without a first, cheap round, which is for reference counts; kernels have none."""
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)

    def get_pointer_to_function(self, name: str) -> int:
        """The address of one of its functions."""
        self._ensure_finalized()
        return int(self._codegen._engine.get_function_address(name))

    def state(self) -> tuple[Any, ...]:
        """What `restore` needs: no LLVM code, because only bodies are inlined, and those are in no file."""
        return self.name, self.needs, self._get_compiled_object()

    @classmethod
    def restore(cls, name: str, needs: set[Need], machine_code: bytes) -> _Library:
        """The library that had this state, linked."""
        for named, arguments in needs:
            if arguments is None:
                _primitives[named].link()
            else:
                _kernels[named].slot(arguments)
        library = cls(cpu_target.target_context.codegen(), name)
        library._set_compiled_object(machine_code)
        with global_compiler_lock:
            library._finalize_final_module()
        return library


class _Body(_Library):
    """The code of a helper for its callers, who optimise it with their own: it becomes no machine code by itself."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _Operation(_Library):
    """The code of an operation, whose loops are a few additions: its tasks have the others."""

    def _optimize_final_module(self) -> None:
        """As Numba's without vectorising loops: 0.8 s less for a first start."""
        passes, builder = self._codegen._module_pass_manager(opt=1, loop_vectorize=False, slp_vectorize=False)
        passes.run(self._final_module, builder)


class _Passes(PassManager):  # type: ignore[misc]
    """Numba's passes without what they do for other code: a first start takes 1.5 s less."""

    _ENFORCING = False  # no check of the code after each of them
    SKIPPED = {
        "WithLifting", "InlineClosureLikes", "InlineInlinables", "InlineOverloads", "FindLiterallyCalls",
        "LiteralUnroll", "MakeFunctionToJitFunction", "RewriteDynamicRaises", "NopythonRewrites", "AnnotateTypes",
        "NoPythonSupportedFeatureValidation", "DumpParforDiagnostics", "IRLegalization",
    }  # fmt: skip


class _Typing:
    """Numba's typing context, which remembers calls of built-in functions: a first start takes 1 s less.

    Numba tries all templates of an operator, those of NumPy's functions among them, for each place where it stands.
    """

    _known: ClassVar[dict[Any, Any]] = {}

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def resolve_function_type(self, function: Any, arguments: Any, keywords: Any) -> Any:
        """The signature of a call."""
        resolve, call = self._context.resolve_function_type, (function, tuple(arguments))
        if keywords or not isinstance(function, BuiltinFunctionType | types.Function):
            return resolve(function, arguments, keywords)
        if call not in self._known:
            self._known[call] = resolve(function, arguments, keywords)
        return self._known[call]


class _Pipeline(compiler.CompilerBase):  # type: ignore[misc]
    def define_pipelines(self) -> list[Any]:
        """The one pipeline: kernels have no closures, no lists, no array expressions."""
        passes = _Passes("kernel")
        usual = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state).passes
        passes.passes = [entry for entry in usual if entry[0].__name__ not in passes.SKIPPED]
        passes.finalize()
        return [passes]


_LIBRARIES = {"operation": _Operation, "task": _Library, "primitive": _Library, "body": _Body}


class _Compiler(_FunctionCompiler):  # type: ignore[misc]
    """Numba's compiler of one function, for one of four kinds of code."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any], kind: str) -> None:
        def pipeline(typing: Any, target: Any, _: None, *rest: Any) -> Any:
            library = _LIBRARIES[kind](target.codegen(), function.__qualname__)
            return _Pipeline(_Typing(typing), target, library, *rest)

        super().__init__(function, cpu_target, options | {"nopython": True}, {}, pipeline)
        self._kind, self._name = kind, f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"

    def _customize_flags(self, flags: Any) -> Any:
        flags.no_compile = True  # the library is finished below
        flags.no_cpython_wrapper = self._kind != "operation"
        flags.no_cfunc_wrapper = self._kind != "primitive"
        return flags

    def _compile_core(self, args: Any, return_type: Any) -> Any:
        with _timed(f"{self._name} ({self._kind})"):
            compiled = super()._compile_core(args, return_type)
            if self._kind == "operation":
                _emit_words_function(compiled.library, compiled.fndesc)
                return _executable(compiled)
            if self._kind != "body":
                compiled.library.finalize()
            return compiled


class _Dispatcher(CPUDispatcher):  # type: ignore[misc]
    """A function in up to three kinds of code, each compiled when it is first wanted.

    An operation, called from Python: Numba's dispatcher. A body, for calls from other kernels, to be inlined. A task,
    see `emit_address`: a function that `run` calls without containing it.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        super().__init__(function, targetoptions=options | {"nopython": True})
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        if function.__module__.startswith(f"{__package__}."):  # the cache knows these sources only
            self._cache = _OperationCache(self.name)
        self._options = options
        self._compiler = _Compiler(function, options, "operation")
        self._tasks: dict[Any, ctypes.c_int64] = {}
        self._bodies: dict[Any, tuple[Any, Any]] = {}
        _kernels[self.name] = self

    @cached_property
    def _task_compiler(self) -> _Compiler:
        return _Compiler(self.py_func, self._options, "task")

    @cached_property
    def _body_compiler(self) -> _Compiler:
        return _Compiler(self.py_func, self._options, "body")

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """The type of a call from another kernel. A constant argument makes no variant of its own."""
        signature, args = self._compiler.fold_argument_types(args, kws)
        args = tuple(types.unliteral(a) for a in args)
        if args not in self._bodies:
            with global_compiler_lock:
                body = self._body_compiler.compile(args, None)
            key = object()  # by which call sites find the body
            self.targetctx.insert_user_function(key, body.fndesc, [body.library])
            self._bodies[args] = key, body.signature
        template = make_concrete_template(self.name, self.name, [known for _, known in self._bodies.values()])
        return template, signature, args, {}

    def get_overload(self, sig: Any) -> Any:
        """The key of the body for a call from another kernel."""
        return self._bodies[tuple(sig)][0]

    def slot(self, arguments: Any) -> str:
        """The symbol of the slot of the task for these argument types, which the linker then knows."""
        symbol = f"fastnn_{self.name}_{_cache.short_hash(arguments)}"
        with global_compiler_lock:
            if arguments not in self._tasks:
                self._tasks[arguments] = _slots.new(symbol, lambda: self.link(arguments))
        return symbol

    def link(self, arguments: Any) -> None:
        """Load or compile the task for these argument types, and write its address to its slot."""
        symbol = self.slot(arguments)
        with global_compiler_lock:
            if not self._tasks[arguments].value:
                compile_it = lambda: self._task_compiler.compile(arguments, None)  # noqa: E731
                self._tasks[arguments].value = _publish(symbol, compile_it, "llvm_func_name")

    def emit_address(self, context: Any, builder: Any, arguments: Any, link: bool = True) -> Any:
        """Emit the address of the task for these argument types: see `_slots.emit_address`."""
        context.active_code_library.needs.add((self.name, arguments))
        return _slots.emit_address(context, builder, self.slot(arguments), link)


class Primitive:
    """A function compiled once for fixed types. Kernels call it by its symbol, which the linker finds."""

    def __init__(self, function: Callable[..., Any], symbol: str, signature: Any) -> None:
        self.symbol = f"fastnn_{symbol}"
        self._signature = signature
        self._compiler = _Compiler(function, OPTIONS, "primitive")
        self._address = 0
        _primitives[self.symbol] = self

    @property
    def address(self) -> int:
        return self._address

    def link(self) -> None:
        """Compile or load the function and make its symbol known to the linker."""
        with global_compiler_lock:
            if not self._address:
                arguments, result = self._signature.args, self._signature.return_type
                compile_it = lambda: self._compiler.compile(arguments, result)  # noqa: E731
                self._address = _publish(self.symbol, compile_it, "llvm_cfunc_wrapper_name")
                llvm.add_symbol(self.symbol, self._address)

    def declare(self, context: Any, builder: Any, function_type: ir.FunctionType) -> Any:
        """Declare the primitive to the code that `builder` emits, as an LLVM function."""
        self.link()
        context.active_code_library.needs.add((self.symbol, None))
        return cgutils.get_or_insert_function(builder.module, function_type, self.symbol)


_published: list[_Library] = []


def _publish(symbol: str, compile_it: Callable[[], Any], function: str) -> int:
    """Load or compile a function, the descriptor's `function`; return its address."""
    found = _loaded(symbol)
    if found is None:
        with _cache.alone(symbol):
            found = _loaded(symbol) or _compiled(symbol, compile_it, function)
    library, name = found
    _published.append(library)  # it would be unloaded
    return library.get_pointer_to_function(name)


def _loaded(symbol: str) -> tuple[_Library, str] | None:
    saved = _cache.load(symbol)
    return (_Library.restore(*saved[0]), saved[1]) if saved else None


def _compiled(symbol: str, compile_it: Callable[[], Any], function: str) -> tuple[_Library, str]:
    compiled = compile_it()
    library, name = compiled.library, getattr(compiled.fndesc, function)
    _cache.save(symbol, (library.state(), name))
    return library, name


class _OperationCache(NullCache):  # type: ignore[misc]
    """Numba's interface to the disk cache."""

    def __init__(self, name: str) -> None:
        self._name = name

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the compiled operation from the disk, or None when it has to be compiled."""
        from ._pool import launch

        launch()
        saved = _cache.load(f"{self._name}-{_cache.short_hash(signature)}")
        if not saved:
            if on_miss is not None:
                on_miss()
            return None
        state, descriptor, environment, signature = saved
        return _executable(
            compiler.compile_result(
                typing_context=target_context.typing_context, target_context=target_context,
                library=_Library.restore(*state), fndesc=descriptor, environment=environment, signature=signature,
                objectmode=False,
            )
        )  # fmt: skip

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Write the compiled operation to the disk."""
        compiled.fndesc.typemap = compiled.fndesc.calltypes = None  # large, and of no use any more
        state = compiled.library.state(), compiled.fndesc, compiled.environment, compiled.signature
        _cache.save(f"{self._name}-{_cache.short_hash(signature)}", state)


def _executable(compiled: Any) -> Any:
    """The result of a compilation with the function that Python calls."""
    function = cpu_target.target_context.get_executable(compiled.library, compiled.fndesc, compiled.environment)
    return compiled._replace(entry_point=function)


def words_function(compiled: Any) -> int:
    """The address of void (words*), which calls an operation with arguments out of an array of 64-bit words.

    Arrays, tuples and numbers are passed as their parts, which the target's data model lists; pointers and integers lie
    in a word as they are, floats as their bits.
    """
    return int(compiled.library.get_pointer_to_function(_words_name(compiled.fndesc)))


def _words_name(descriptor: Any) -> str:
    return f"{descriptor.llvm_func_name}.words"


def _emit_words_function(library: Any, descriptor: Any) -> None:
    context, i64 = cpu_target.target_context, ir.IntType(64)
    module = library.create_ir_module(_words_name(descriptor))
    word_function = ir.FunctionType(ir.VoidType(), [i64.as_pointer()])
    function = ir.Function(module, word_function, _words_name(descriptor))
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    operation = context.declare_function(module, descriptor)
    parts = []
    for place, kind in enumerate(context.get_arg_packer(descriptor.argtypes).argument_types):
        at = builder.gep(function.args[0], [ir.Constant(i64, place)])
        parts.append(builder.load(builder.bitcast(at, kind.as_pointer())))
    # A result and an exception: none come.
    unused = [builder.alloca(kind.pointee) for kind in operation.function_type.args[:2]]
    builder.call(operation, [*unused, *parts])
    builder.ret_void()
    library.add_ir_module(module)


@contextmanager
def _timed(name: str) -> Iterator[None]:
    start = time.perf_counter()
    _within.append(0.0)
    collecting = gc.isenabled()
    gc.disable()  # Numba's many objects make the collector take 6 % of a first start
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        seconds = time.perf_counter() - start
        compilations.append((name, seconds - _within.pop()))
        _within[-1] += seconds
