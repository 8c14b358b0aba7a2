"""The disk cache of compiled kernels."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastnn.kernels import _cache
from fastnn.kernels._jit import kernel
from fastnn.kernels._parallel import run as run_chunks
from fastnn.kernels._slots import LinkError

PROJECT = Path(__file__).parents[1]
PROGRAM = """
import time, warnings
warnings.simplefilter("always")
import numpy as np
from fastnn.kernels import _cache, optim
g = np.array([3.0, -4.0], np.float32)
optim.clip_by_value(2.0, g)
print(g.tolist(), sum(optim.clip_by_value.stats.cache_hits.values()), _cache.cache_folder())
"""


def run(cache, project=PROJECT):
    """Run the program: return (result and cache hits, cache folder, what it wrote to stderr)."""
    environment = {**os.environ, "FASTNN_CACHE_DIR": str(cache), "PYTHONPATH": str(project)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=600, cwd=cache.anchor
    )
    assert done.returncode == 0, done.stderr
    result, _, rest = done.stdout.strip().rpartition("] ")
    hits, folder = rest.split(" ", 1)
    return result + "]", int(hits), folder, done.stderr


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache folder after a first run."""
    cache = tmp_path_factory.mktemp("cache")
    result, hits, folder, _ = run(cache)
    assert (result, hits) == ("[2.0, -2.0]", 0)
    assert Path(folder).parent == cache
    return cache


def test_a_second_process_compiles_nothing(filled):
    before = {path: path.stat().st_mtime_ns for path in filled.rglob("*.bin")}
    assert len(before) > 2
    assert run(filled)[:2] == ("[2.0, -2.0]", 1)
    assert {path: path.stat().st_mtime_ns for path in filled.rglob("*.bin")} == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_the_folder_is_private(filled):
    (folder,) = filled.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[: len(data) // 2],
        lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:],
        lambda data: b"no such thing" * 1000,
    ],
    ids=["empty", "header only", "half", "one bit", "foreign"],
)
def test_damaged_files_are_compiled_again(filled, tmp_path, damage):
    cache = tmp_path / "cache"
    shutil.copytree(filled, cache)
    for path in cache.rglob("*.bin"):
        path.write_bytes(damage(path.read_bytes()))
    assert run(cache)[:2] == ("[2.0, -2.0]", 0)
    assert run(cache)[:2] == ("[2.0, -2.0]", 1)


def test_an_edit_in_any_kernel_file_starts_a_new_folder(tmp_path):
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "fastnn", project / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
    _, _, before, _ = run(tmp_path / "cache", project)
    with open(project / "fastnn/kernels/pool.py", "a") as file:
        file.write("# edited\n")
    _, hits, after, _ = run(tmp_path / "cache", project)
    assert after != before
    assert hits == 0


def test_without_a_writable_folder_one_warning_and_no_cache(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    result, hits, folder, errors = run(blocked)
    assert (result, hits, folder) == ("[2.0, -2.0]", 0, "None")
    assert errors.count("RuntimeWarning") == 1
    assert "set FASTNN_CACHE_DIR to a writable folder" in errors


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no user ids on this system")
def test_a_folder_that_others_may_write_is_not_trusted(filled, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(filled, cache)
    for folder in cache.iterdir():
        folder.chmod(0o777)
    result, hits, folder, errors = run(cache)
    assert (result, hits, folder) == ("[2.0, -2.0]", 0, "None")
    assert "writable by somebody else" in errors


def test_folders_of_other_builds_are_removed_when_nobody_uses_them(tmp_path):
    old, recent, foreign, mixed = (tmp_path / name for name in ("0" * 16, "1" * 16, "some folder", "2" * 16))
    for folder in (old, recent, foreign, mixed):
        folder.mkdir()
        (folder / "kernel.bin").write_text("")
    (mixed / "notes.txt").write_text("not ours")
    for folder in (old, foreign, mixed):
        os.utime(folder, times=2 * (time.time() - _cache.UNUSED - 60,))
    _cache._remove_unused(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1" * 16, "2" * 16, "some folder"]
    assert (recent / "kernel.bin").exists()
    assert (foreign / "kernel.bin").exists()
    assert (mixed / "notes.txt").exists()


@kernel
def _write(chunk, value, y):
    y[chunk] = value


@kernel
def _write_in_chunks(often, value, y):
    if often:
        run_chunks(_write, y.size, y.size, (value, y))


def test_a_task_is_compiled_when_a_call_gets_to_it():
    y = np.zeros(3)
    _write_in_chunks(False, 2.0, y)
    assert not any(slot.value for slot in _write._tasks.values())
    _write_in_chunks(True, 2.0, y)
    assert y.tolist() == [2, 2, 2]
    assert all(slot.value for slot in _write._tasks.values())


@pytest.mark.parametrize(
    ("error", "seen"),
    [(MemoryError("full"), LinkError), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["error", "Ctrl-C"],
)
def test_an_error_while_a_task_is_compiled_is_raised(monkeypatch, error, seen):
    def fail(arguments):
        raise error

    y = np.zeros(3, np.float32)
    for slot in _write._tasks.values():
        slot.value = 0  # as before the first call
    with monkeypatch.context() as patch:
        patch.setattr(_write, "link", fail)
        with pytest.raises(seen) as caught:
            _write_in_chunks(True, 2.0, y)
    assert y.tolist() == [0, 0, 0]
    if seen is LinkError:
        assert str(caught.value) == "a kernel could not be compiled: MemoryError: full"
    _write_in_chunks(True, 2.0, y)
    assert y.tolist() == [2, 2, 2]
