"""The checks themselves: each fails for a wrong operation. And the oracle has the reference's signatures."""

import inspect
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import naive
import numpy as np
import pytest
from checks import CHECKS
from checks.common import adjoint, slope

from fastnn import reference

OPERATIONS = [name for name in reference.__all__ if not (name.endswith("_scratch_size") or name.startswith("has_"))]


def _wrong_value(operation, arguments):
    operation(*arguments)
    output = next(a for a in reversed(arguments) if isinstance(a, np.ndarray) and a.size)
    output.flat[-1] = -output.flat[-1] - 1 if output.dtype.kind == "f" else output.flat[-1] + 1


def _unwritten_tail(operation, arguments):
    output = next(a for a in reversed(arguments) if isinstance(a, np.ndarray) and a.size)
    before = output.flat[-1]
    operation(*arguments)
    output.flat[-1] = before


def _changed_input(operation, arguments):
    operation(*arguments)
    arrays = [a for a in arguments if isinstance(a, np.ndarray) and a.size]
    arrays[0].flat[0] = not arrays[0].flat[0]


@pytest.mark.parametrize("fault", [_wrong_value, _unwritten_tail, _changed_input])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_wrong_operation_fails_its_check(name, fault):
    operation = getattr(reference, name)
    wrong = SimpleNamespace(**{**vars(reference), name: lambda *arguments: fault(operation, arguments)})
    failures = 0
    for check, cases in CHECKS[operation.__module__.rpartition(".")[2]]:
        for case in cases:
            try:
                check(wrong, case)
            except AssertionError:
                failures += 1
    assert failures


def test_a_wrong_gradient_is_not_a_slope():
    x = np.linspace(-1, 1, 7)
    rng = np.random.default_rng(0)
    slope(lambda x: float(np.sum(x**3)), x, 3 * x**2, rng)
    with pytest.raises(AssertionError):
        slope(lambda x: float(np.sum(x**3)), x, 3 * x**2 + 1e-5, rng)


def test_a_wrong_adjoint_fails():
    a = np.arange(12.0).reshape(3, 4)
    x, y = np.ones(4), np.arange(3.0)
    adjoint(x, a @ x, y, a.T @ y)
    with pytest.raises(AssertionError):
        adjoint(x, a @ x, y, a.T @ y + 1e-9)


@pytest.mark.parametrize(("guard", "offset"), [("guarded_end", 24), ("guarded_start", -1)])
def test_a_stray_write_dies(guard, offset):
    code = f"""
import ctypes, numpy as np
from checks.memory import {guard}
array = {guard}(np.arange(3.0))
assert array.tolist() == [0, 1, 2]
ctypes.memset(array.ctypes.data + {offset}, 0, 1)
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False)
    assert process.returncode in (-signal.SIGSEGV, -signal.SIGBUS)


@pytest.mark.parametrize("name", reference.__all__)
def test_oracle_and_reference_have_one_signature(name):
    first, second = (inspect.signature(getattr(module, name)).parameters for module in (reference, naive))
    assert list(first) == list(second)
