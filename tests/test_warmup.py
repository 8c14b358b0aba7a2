"""`fastnn warmup`: its trainings call every operation, and what they compiled is all that a first step needs."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastnn import _backend, _warmup, kernels, reference
from fastnn.cli import main
from fastnn.cli import warmup as command
from fastnn.kernels import _cache
from fastnn.reference import bf16

PROJECT = Path(__file__).parents[1]
FIRST_STEPS = """
import numpy as np, fastnn
from fastnn.kernels import _jit
from fastnn.networks import mlp
model = fastnn.Sequential(mlp((8, 8, 1), 10), (8, 8, 1))
model.compile(fastnn.Adam(0.001))
x, y = np.random.default_rng(0).random((70, 8, 8, 1)), np.arange(70) % 10
model.fit(x, y, epochs=2, batch_size=32, validation_data=(x, y), verbose=False)
model.train_batch(x, y)
model.predict(x)
print(_jit.compilations)
"""


class Names:
    """Remembers which of the reference's operations were called: those of one module."""

    def __init__(self, module):
        self.module, self.called = module, set()

    def on(self, operations):
        names = self.called if operations is self.module else set()
        return Recorded(operations, names)

    def live(self, value, following):
        return value

    def mark_guard(self):
        pass

    def mark_update(self):
        pass


class Recorded:
    """One module's operations."""

    def __init__(self, operations, called):
        self.operations, self.called = operations, called

    def __getattr__(self, name):
        self.called.add(name)
        return getattr(self.operations, name)


def called_by(cases, kind="float32", module=reference):
    names = Names(module)
    with _backend.recording(names):
        for case in cases:
            _warmup.run(case, kind, "numpy")
    return names.called


def test_the_cases_call_every_operation():
    assert called_by(_warmup.CASES) == set(kernels.__all__)


def test_the_case_of_bf16_calls_every_operation():
    assert called_by([_warmup.BF16_CASE], "bf16", bf16) == set(bf16.__all__)


def test_the_check_can_fail():
    assert set(kernels.__all__) - called_by(["mlp"]) > {"conv2d_forward", "batch_norm_forward"}


def python(cache, *arguments):
    environment = {**os.environ, "FASTNN_CACHE_DIR": str(cache), "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def test_after_it_a_first_step_compiles_nothing(tmp_path):
    for code, expected in (
        ("from fastnn._warmup import missing; print(len(missing('mlp', 'float32')) > 20)", "True"),
        ("from fastnn._warmup import missing; print(missing('mlp', 'float32'))", "[]"),
        (FIRST_STEPS, "[]"),
    ):
        output, errors = python(tmp_path, "-c", code).communicate(timeout=300)
        assert (output.strip(), errors) == (expected, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process group")
def test_interrupted_it_leaves_whole_files(tmp_path):
    process = python(tmp_path, "-m", "fastnn", "warmup", "--jobs", "1")
    deadline = time.monotonic() + 120
    while len(list(tmp_path.rglob("*.bin"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "fastnn: interrupted\n")
    files = [path.read_bytes() for path in tmp_path.rglob("*.bin")]
    assert len(files) >= 3
    assert all(hashlib.sha256(data[32:]).digest() == data[:32] for data in files)


@pytest.fixture
def run(monkeypatch):
    """Runs the command; what its processes find missing is given."""

    def run(found, *arguments):
        monkeypatch.setattr(sys.modules[command.callback.__module__], "_run", lambda work, jobs: iter(found))
        return CliRunner().invoke(main, ["warmup", *arguments])

    return run


def test_it_says_what_it_compiled(run):
    result = run([[("a", 1.0), ("b", 2.0)], []], "--times")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].endswith("2 functions, 3.0 s")
    assert lines[2:4] == ["  2.000 s  b", "  1.000 s  a"]
    assert lines[4].startswith("2 functions compiled in ")


def test_it_says_that_all_is_there(run):
    result = run([[], []])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"nothing to do: all kernels are in {_cache.cache_folder()}"


def test_without_a_writable_folder(run, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path / "file"))
    _cache.cache_folder.cache_clear()
    try:
        result = run([])
    finally:
        _cache.cache_folder.cache_clear()
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "set FASTNN_CACHE_DIR to a writable folder" in result.stderr
