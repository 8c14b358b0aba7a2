"""precision="bf16" of layers and models."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from backends import BACKENDS
from click.testing import CliRunner

import fastnn as fn
from fastnn import recipes, run
from fastnn.cli import main
from fastnn.kernels import _simd
from fastnn.layers import describe, rebuild

HERE = [b for b in BACKENDS if b == "numpy" or _simd.HAS_BF16]
needs_bf16 = pytest.mark.skipif(not _simd.HAS_BF16, reason="this CPU has no products of bf16")


def layers():
    block = fn.Residual([fn.Conv2D(32, 32, 3, padding="same"), fn.BatchNorm(32), fn.ReLU()])
    return [
        fn.Conv2D(3, 32, 3, padding="same"), fn.ReLU(), block, fn.MaxPool2D(2), fn.Conv2D(32, 48, 5), fn.Tanh(),
        fn.Flatten(), fn.Dense(None, 96, activation="relu"), fn.Dense(96, 10),
    ]  # fmt: skip


def model(backend, precision, optimizer=None):
    made = fn.Sequential(layers(), (12, 12, 3), backend=backend, precision=precision, seed=0)
    made.compile(optimizer or fn.SGD(0.05, momentum=0.9))
    return made


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((32, 12, 12, 3)).astype(np.float32), np.arange(32) % 10


def test_a_model_sets_it_on_dense_layers_and_convolutions_however_deep():
    made = model("numpy", "bf16")
    chosen = [layer.precision for layer in (made.layers[0], made.layers[2].layers[0], made.layers[7])]
    assert chosen == ["bf16"] * 3
    made.layers[0].place(precision="full")
    assert made.layers[0].precision == "full"
    assert fn.Sequential([fn.Dense(4, 3, precision="bf16")], (4,), backend="numpy").layers[0].precision == "bf16"


def test_it_is_part_of_a_layer_s_description():
    layer = fn.Conv2D(3, 4, 3, precision="bf16", backend="numpy")
    assert "precision='bf16'" in repr(layer)
    assert rebuild(json.loads(json.dumps(describe(layer)))).precision == "bf16"
    assert "precision" not in describe(fn.Conv2D(3, 4, 3))


def test_bad_values():
    with pytest.raises(ValueError, match=r"^Dense: precision must be one of 'full', 'bf16', got 'fp16'$"):
        fn.Dense(4, 3, precision="fp16")
    with pytest.raises(TypeError, match=r"^Conv2D: precision must be one of 'full', 'bf16', got int$"):
        fn.Conv2D(4, 3, 3, precision=16)
    with pytest.raises(ValueError, match=r"^Dense: precision must be 'full' for dtype float64, got 'bf16'$"):
        fn.Dense(4, 3, precision="bf16", dtype="float64")
    with pytest.raises(ValueError, match=r"^Conv2D: precision must be 'full' for dtype float64, got 'bf16'$"):
        fn.Sequential(layers(), dtype="float64", precision="bf16")


@pytest.mark.parametrize("backend", HERE)
def test_outputs_and_gradients_are_close_to_those_of_float32(backend, data):
    """A smooth network: near its kinks ReLU and max pooling turn rounding into other paths."""
    full, rounded = (
        fn.Sequential(
            [fn.Conv2D(3, 32, 3, padding="same"), fn.Tanh(), fn.Conv2D(32, 32, 3), fn.Tanh(), fn.AvgPool2D(2),
             fn.Conv2D(32, 48, 5), fn.Flatten(), fn.Dense(48, 96, activation="tanh"), fn.Dense(96, 10)],
            (12, 12, 3), backend=which, precision=precision, seed=0,
        )
        for which, precision in (("numpy", "full"), (backend, "bf16"))
    )  # fmt: skip
    outputs = [each.predict_outputs(data[0]) for each in (full, rounded)]
    assert 0 < np.abs(outputs[0] - outputs[1]).max() < 0.02 * np.abs(outputs[0]).max()
    for each in (full, rounded):
        each.train_batch(*data)
    for name, place in full.parameter_slices.items():
        wanted, found = full.gradients[place], rounded.gradients[place]
        assert np.linalg.norm(found - wanted) < 0.02 * np.linalg.norm(wanted), name


@needs_bf16
def test_repeated_steps_are_those_of_python(data):
    recorded, stepwise = model("numba", "bf16"), model("numba", "bf16")
    for _ in range(4):
        stepwise._recordings.clear()
        assert recorded.train_batch(*data) == stepwise.train_batch(*data)
    assert recorded.parameters.tobytes() == stepwise.parameters.tobytes()


@needs_bf16
def test_what_is_recorded_follows_the_layers():
    x = np.random.default_rng(0).standard_normal((100, 200)).astype(np.float32)
    made = fn.Sequential([fn.Dense(200, 150)], (200,), seed=0)
    outputs = []
    for precision in ("full", "bf16", "full"):
        made.layers[0].place(precision=precision)
        outputs += [made.predict_outputs(x).tobytes() for _ in range(2)]
    assert outputs[:2] == outputs[4:]
    assert outputs[2] == outputs[3] != outputs[0]


@pytest.mark.parametrize("backend", HERE)
def test_a_file_keeps_it(tmp_path, backend, data):
    made = model(backend, "bf16")
    made.save(tmp_path / "m.safetensors")
    loaded = fn.load(tmp_path / "m.safetensors", backend=backend)
    assert loaded.layers[2].layers[0].precision == "bf16"
    np.testing.assert_array_equal(loaded.predict_outputs(data[0]), made.predict_outputs(data[0]))


WITHOUT = """
import sys, warnings
import fastnn as fn
warnings.simplefilter("error")
try:
    fn.Sequential([fn.Dense(4, 3)], (4,), precision="bf16")
except RuntimeError as error:
    print(error)
try:
    fn.Dense(4, 3, precision="bf16").forward([[1.0] * 4])
except RuntimeError as error:
    print(error)
print(fn.Sequential([fn.Dense(4, 3)], (4,), precision="bf16", backend="numpy").predict([[1.0] * 4]).shape)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = fn.load(sys.argv[1])
print(*(w.message for w in caught))
print(model.layers[0].precision, fn.load(sys.argv[1], backend="numpy").layers[0].precision)
"""


def test_a_cpu_without_it(tmp_path):
    path, cache = tmp_path / "m.safetensors", tmp_path / "cache"
    fn.Sequential([fn.Dense(4, 3)], (4,), precision="bf16", backend="numpy").save(path)
    environment = os.environ | {
        "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma", "FASTNN_CACHE_DIR": str(cache),
        "PYTHONPATH": str(Path(fn.__file__).parents[1]),
    }  # fmt: skip
    command = [sys.executable, "-c", WITHOUT, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    needs = "fastnn: precision 'bf16' needs a CPU with AVX512_BF16, or backend 'numpy'"
    assert done.stdout.splitlines() == [
        needs, needs, "(1,)", f"{needs}; the model is loaded with precision 'full'", "full bf16",
    ]  # fmt: skip


ASKED = """
import ctypes, sys
from types import SimpleNamespace
library = ctypes.CDLL
system = SimpleNamespace(syscall=lambda *arguments: int(sys.argv[1]))
ctypes.CDLL = lambda name, *rest, **named: library(name, *rest, **named) if name else system
from fastnn.kernels import _amx, _features, _simd
print("+amx-bf16" in _features.FEATURES, _amx.HAS_AMX, _simd.describe_bf16().split(",")[0])
"""


@pytest.mark.parametrize(
    ("answer", "found"), [("-1", "False False AVX512_BF16"), ("0", "True True AMX")], ids=["refused", "given"]
)
@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="only x86's Linux is asked")
def test_tiles_are_used_where_the_system_gives_their_registers(answer, found):
    environment = os.environ | {
        "NUMBA_CPU_NAME": "sapphirerapids", "NUMBA_CPU_FEATURES": "+avx512f,+avx512bf16,+amx-tile,+amx-bf16",
        "PYTHONPATH": str(Path(fn.__file__).parents[1]),
    }  # fmt: skip
    command = [sys.executable, "-c", ASKED, answer]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == found


def test_train_from_the_command_line(tmp_path):
    options = ["--model", "mlp", "--epochs", "1", "--backend", "numpy", "--precision", "bf16", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, ["train", *options], prog_name="fastnn")
    assert result.exit_code == 0, result.output
    assert fn.load(tmp_path / "model.safetensors", backend="numpy").layers[1].precision == "bf16"


@needs_bf16
def test_an_epoch_of_mnist(mnist_folder):
    changes = {"data.data_dir": str(mnist_folder), "training.precision": "bf16", "training.epochs": 1}
    settings = recipes.load("cnn").override(changes)
    assert run.train(settings, verbose=False).accuracy >= 0.985
