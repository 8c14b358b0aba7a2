"""A first start with a helper, which compiles from a step's last operation on."""

import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn as fn
from fastnn import _ahead
from fastnn._step import Shares
from fastnn.kernels import _cache, _simd
from fastnn.networks import NETWORKS

ROWS, SHAPE = 16, (8, 8, 2)
PROGRAM = """
import sys, time
import numpy as np
import fastnn as fn
from fastnn import _ahead
from fastnn.kernels import _cache, _jit

def start_and_wait(work, start=_ahead._start):  # a helper on a busy machine may be late
    start(work)
    while any(helper.poll() is None for helper in _ahead._helpers) and not _cache.load("fastnn_gemm_f32"):
        time.sleep(0.01)

_ahead._start = start_and_wait
fn.set_num_threads(int(sys.argv[1]))
model = fn.Sequential([fn.Dense(12, 40), fn.ReLU(), fn.Dense(40, 3)], (12,), seed=0)
model.compile(fn.SGD(0.1))
losses = [model.train_batch(np.ones((8, 12)), np.arange(8) % 3)[0] for _ in range(3)]
ended = [helper.wait() for helper in _ahead._helpers]
kept = {path.name.partition(".bin")[0] for path in _cache.cache_folder().glob("*.bin")}
others = [path.name for path in _cache.cache_folder().iterdir() if path.suffix != ".bin"]
bodies = sum(name.endswith("(body)") for name, _ in _jit.compilations)
print(losses, ended, len(kept), len(_jit.compilations) - bodies, others, sep=";")
"""


def first_start(cache, threads):
    environment = os.environ | {"FASTNN_CACHE_DIR": str(cache), "NUMBA_NUM_THREADS": "2"}
    command = [sys.executable, "-c", PROGRAM, str(threads)]
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    losses, *rest = done.stdout.strip().split(";")
    return losses, *map(eval, rest)


def test_a_helper_compiles_what_this_process_then_loads(tmp_path):
    """Both have the same losses, and a filled cache needs no helper."""
    losses, ended, kept, compiled, others = first_start(tmp_path / "two", 2)
    assert ended == [0]
    assert compiled < kept
    assert others == []
    alone, ended, kept, compiled, others = first_start(tmp_path / "one", 1)
    assert ended == []
    assert compiled == kept
    assert others == []
    assert losses == alone
    assert first_start(tmp_path / "two", 2) == (losses, [], kept, 0, [])


def model(layers, optimizer=None, loss=None, **options):
    made = fn.Sequential(layers, SHAPE, seed=0, **options)
    made.compile(optimizer, loss)
    return made


def layers():
    return [
        fn.Conv2D(2, 6, 3, padding="same"), fn.BatchNorm(), fn.ReLU(),
        fn.Residual([fn.Conv2D(6, 6, 3, padding="same")]), fn.MaxPool2D(2), fn.AvgPool2D(2), fn.Flatten(),
        fn.Dropout(0.5), fn.Dense(None, 5, activation="gelu"), fn.Dense(5, 3),
    ]  # fmt: skip


def mlp():
    return [fn.Flatten(), fn.Dense(None, 96, activation="relu"), fn.Dense(96, 3)]


MODELS = {
    **{name: lambda make=make: model(make(SHAPE, 3)) for name, make in NETWORKS.items()},
    "layers": lambda: model(layers(), fn.AdamW(0.01, clip_global_norm=1.0)),
    "float64": lambda: model(layers(), fn.RMSprop(0.01, clip_norm=1.0), dtype="float64"),
    "values": lambda: model(mlp(), fn.SGD(0.01, momentum=0.9), fn.MeanSquaredError()),
    "yes or no": lambda: model(mlp(), None, fn.BinaryCrossEntropy()),
    "bf16": lambda: model(mlp(), precision="bf16"),
}


def data(made):
    x = np.random.default_rng(0).random((ROWS, *SHAPE))
    y = np.arange(ROWS) % 3
    return made.check_data(x, y if isinstance(made.loss, fn.SoftmaxCrossEntropy) else np.eye(3)[y])


def training(made, augmentation=None):
    x, targets = data(made)
    steps = made.steps(x, targets, ROWS, augmentation)
    return steps, lambda: steps.run(x, targets.values, np.arange(ROWS), 1)


def predictions(made, probabilities):
    x, _ = data(made)
    work = made._inference(ROWS, probabilities)
    return work, lambda: work.run(x, np.empty((ROWS, *made.output_shape), made.dtype))


def calls(rows):
    """Names, and of the arguments what says what is compiled and which way is taken."""
    return [(name, [a.shape if isinstance(a, np.ndarray) else type(a) for a in arguments]) for name, arguments in rows]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["training", "augmented", "outputs", "probabilities"])
def test_it_knows_the_operations_of_all_work_and_can_run_them(name, kind):
    if name == "bf16" and not _simd.HAS_BF16:
        pytest.skip("this CPU has no products of bf16")
    made = MODELS[name]()
    augmentation = fn.Augmentation(shift=1, cutout=2, seed=0) if kind == "augmented" else None
    if kind in ("training", "augmented"):
        work, run = training(made, augmentation)
    else:
        work, run = predictions(made, kind == "probabilities")
    known, helping = (pickle.loads(pickle.dumps(work)) for _ in range(2))
    run()
    assert calls((operation.__name__, arguments) for operation, arguments in known.draft()) == calls(work.calls())
    assert work.calls()
    _ahead.help_with(helping)


def test_accumulated_gradients():
    made = MODELS["layers"]()
    x, targets = data(made)
    steps = made.steps(x, targets, ROWS, shared=True)
    shares = Shares(np.array([0.5, 0.5]), np.array([True, False]), np.array([False, True]))
    steps.run(np.tile(x, (2, 1, 1, 1)), np.tile(targets.values, 2), np.arange(2 * ROWS), 1, shares)
    known = pickle.loads(pickle.dumps(steps))
    steps.run(x, targets.values, np.arange(ROWS), 1, shares.part(1, 2))
    assert "accumulate_gradients" in [name for name, _ in steps.calls()]
    assert [operation.__name__ for operation, _ in known.draft()] == [name for name, _ in steps.calls()]


def test_one_process_at_a_time_makes_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache, "cache_folder", lambda: tmp_path)
    inside, seen = [], []

    def make():
        with _cache.alone("function"):
            inside.append(1)
            seen.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 4
    assert list(tmp_path.iterdir()) == []


def test_nobody_waits_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(_cache, "PATIENCE", 0.05)
    with _cache.alone("function"):
        waiting = threading.Thread(target=lambda: _cache.alone("function").__enter__())
        waiting.start()
        waiting.join(10)
        assert not waiting.is_alive()
