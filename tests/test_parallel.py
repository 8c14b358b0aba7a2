"""The thread pool: kernels on several threads at once, in forked children, after a rest."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

import fastnn
from fastnn import kernels


def python(program, **environment):
    """Run a program in a process of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


TWO_THREADS = """
import threading
import numpy as np
from fastnn import kernels, threads
x, w = np.ones((200, 300), np.float32), np.ones((300, 400), np.float32)
wrong = []
def work():
    y = np.zeros((200, 400), np.float32)
    for _ in range(200):
        kernels.dense_forward(x, w, w[0, :0], 0, 0.0, w[0, :0], y)
        if not (y == 300).all():
            wrong.append(y)
crowd = [threading.Thread(target=work) for _ in range(3)]
for thread in crowd: thread.start()
work()
for thread in crowd: thread.join()
print(len(wrong))
"""


def test_threads_may_run_kernels_side_by_side():
    assert python(TWO_THREADS, NUMBA_NUM_THREADS="2") == "0"


FORK = """
import os
import numpy as np
from fastnn import get_num_threads, kernels, set_num_threads
x, w = np.ones((200, 300), np.float32), np.ones((300, 400), np.float32)
y = np.zeros((200, 400), np.float32)
kernels.dense_forward(x, w, w[0, :0], 0, 0.0, w[0, :0], y)
child = os.fork()
if child == 0:
    y[:] = 0
    kernels.dense_forward(x, w, w[0, :0], 0, 0.0, w[0, :0], y)
    try:
        set_num_threads(2)
    except ValueError as error:
        refused = str(error)
    os._exit(0 if (y == 300).all() and get_num_threads() == 1 and "<= 1" in refused else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_runs_serially():
    assert python(FORK, NUMBA_NUM_THREADS="2") == "0"


def test_workers_come_back_after_a_rest():
    x, w, y = np.ones((200, 300), np.float32), np.ones((300, 400), np.float32), np.zeros((200, 400), np.float32)
    for _ in range(3):
        y[:] = 0
        kernels.dense_forward(x, w, w[0, :0], 0, 0.0, w[0, :0], y)
        assert (y == 300).all()
        time.sleep(0.02)  # workers sleep after about 0.1 ms


AFFINITY = """
import os, threading, time
import numpy as np
from fastnn import kernels
x, w = np.ones((200, 300), np.float32), np.ones((300, 400), np.float32)
def run():
    y = np.zeros((200, 400), np.float32)
    kernels.dense_forward(x, w, w[0, :0], 0, 0.0, w[0, :0], y)
    assert (y == 300).all()
run()
(worker,) = (t.native_id for t in threading.enumerate() if t.name == "fastnn-1")
allowed = os.sched_getaffinity(0)
for mask in (allowed, {min(allowed)}, {max(allowed)}, allowed):
    os.sched_setaffinity(worker, mask)
    for _ in range(20):
        time.sleep(0.005)  # the worker sleeps
        run()
    for _ in range(200):  # and has seen the last of them at some time
        run()
        time.sleep(0.001)
        if os.sched_getaffinity(worker) == mask:
            break
    else:
        print(mask, os.sched_getaffinity(worker))
print(os.sched_getaffinity(0) == allowed)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks on this system")
def test_workers_keep_the_mask_of_cpus_that_they_were_given():
    assert python(AFFINITY, NUMBA_NUM_THREADS="2") == "True"


def test_more_threads_than_cores_make_progress():
    program = TWO_THREADS.replace("range(3)", "range(2)")
    assert python(program, NUMBA_NUM_THREADS=str(4 * os.cpu_count())) == "0"


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


PLACES = """
import numpy as np
from fastnn.kernels._jit import kernel
from fastnn.kernels._parallel import run_in_places
@kernel
def task(chunk, place, inside, clashes, seen):
    inside[place] += 1
    for _ in range(20000):
        clashes[place] += inside[place] != 1
    inside[place] -= 1
    seen[chunk] = place
@kernel
def every(work, inside, clashes, seen):
    run_in_places(task, seen.size, work, (inside, clashes, seen))
for work in (0, 1 << 30):
    inside, clashes, seen = np.zeros(8, np.int64), np.zeros(8, np.int64), np.full(8, -1)
    every(work, inside, clashes, seen)
    print(clashes.sum(), seen.min(), seen.max() < (2 if work else 1), inside.sum())
"""


def test_threads_have_places_of_their_own():
    assert python(PLACES, NUMBA_NUM_THREADS="2").splitlines() == ["0 0 True 0"] * 2
