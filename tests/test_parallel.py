"""The chunk driver: the same bits everywhere, and safe in forked children and on other threads."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn

TESTS = Path(__file__).parent


def python(*arguments, **environment):
    """Run Python on the arguments; return what it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]), **environment}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=600, cwd=TESTS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def bits(*threads, **environment):
    """Return {operation: hashes} of the kernel program for each thread count."""
    lines = python("kernel_program.py", *map(str, threads), **environment).splitlines()
    found = {}
    for line in lines:
        count, name, digest = line.split("|")
        found.setdefault(name, []).append((int(count), digest))
    return found


@pytest.fixture(scope="module")
def serial():
    return {name: digest for name, [(_, digest)] in bits(1).items()}


def test_any_number_of_threads_gives_the_same_bits(serial):
    found = bits(1, 2, 3, 4, NUMBA_NUM_THREADS="4")
    assert found.keys() == serial.keys()
    for name, hashes in found.items():
        assert [count for count, _ in hashes] == [1, 2, 3, 4]
        assert {digest for _, digest in hashes} == {serial[name]}, name


def test_the_public_prange_driver_gives_the_same_bits(serial, tmp_path):
    found = bits(2, NUMBA_NUM_THREADS="2", FASTNN_DRIVER="prange")
    assert {name: digest for name, [(_, digest)] in found.items()} == serial


def test_workqueue_gives_the_same_bits(serial):
    found = bits(2, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER="workqueue")
    assert {name: digest for name, [(_, digest)] in found.items()} == serial


TWO_THREADS = """
import threading
import numpy as np
from fastnn import kernels, threads
x, w = np.ones((200, 300), np.float32), np.ones((300, 400), np.float32)
wrong = []
def work():
    y = np.zeros((200, 400), np.float32)
    for _ in range(200):
        kernels.dense_forward(x, w, w[0, :0], 0, 0.0, y)
        if not (y == 300).all():
            wrong.append(y)
crowd = [threading.Thread(target=work) for _ in range(3)]
for thread in crowd: thread.start()
work()
for thread in crowd: thread.join()
print(len(wrong))
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_threads_may_run_kernels_side_by_side(layer):
    assert python("-c", TWO_THREADS, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2").strip() == "0"


FORK = """
import os
import numpy as np
from fastnn import get_num_threads, kernels, set_num_threads
x, w = np.ones((200, 300), np.float32), np.ones((300, 400), np.float32)
y = np.zeros((200, 400), np.float32)
kernels.dense_forward(x, w, w[0, :0], 0, 0.0, y)
child = os.fork()
if child == 0:
    y[:] = 0
    kernels.dense_forward(x, w, w[0, :0], 0, 0.0, y)
    try:
        set_num_threads(2)
    except ValueError as error:
        refused = str(error)
    os._exit(0 if (y == 300).all() and get_num_threads() == 1 and "<= 1" in refused else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_runs_serially():
    assert python("-W", "ignore", "-c", FORK, NUMBA_NUM_THREADS="2").strip() == "0"


WITHOUT_OPENMP = """
import sys, warnings
sys.modules["numba.np.ufunc.omppool"] = sys.modules["numba.np.ufunc.tbbpool"] = None
from fastnn.kernels import _parallel
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(_parallel.layer(), _parallel.layer())
print(*(str(w.message) for w in caught if w.category is RuntimeWarning), sep="\\n")
"""


def test_a_missing_openmp_is_told_once():
    layers, *warned = python("-c", WITHOUT_OPENMP).splitlines()
    assert layers == "workqueue workqueue"
    assert len(warned) == 1
    assert warned[0].startswith("fastnn: no OpenMP runtime found")


def test_the_thread_count_is_checked_and_restored():
    before = fastnn.get_num_threads()
    with fastnn.threads(1):
        assert fastnn.get_num_threads() == 1
    with pytest.raises(ZeroDivisionError), fastnn.threads(1):
        1 / 0  # noqa: B018
    assert fastnn.get_num_threads() == before
    with pytest.raises(ValueError, match=r"set_num_threads: n must be >= 1, got 0"):
        fastnn.set_num_threads(0)
    with pytest.raises(ValueError, match=r"set_num_threads: n must be <= \d+, the size of the thread pool"):
        fastnn.set_num_threads(10**6)
    with pytest.raises(TypeError, match=r"set_num_threads: n must be"):
        fastnn.set_num_threads(np.float32(1.5))
