"""Files and folders of arrays: each kind is known by its content, and what is none of them is refused."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

import fastnn as fn
from fastnn.formats import sources

ARRAYS = {"W1": np.arange(6.0).reshape(2, 3), "b1": np.arange(3, dtype=np.float32)}


def write_folder(path):
    path.mkdir()
    for name, a in ARRAYS.items():
        np.save(path / f"{name}.npy", a)
    (path / "notes.txt").write_text("no array")


def written(save, path):
    with path.open("wb") as file:
        save(file, **ARRAYS)


WRITERS = {
    "folder": write_folder,
    "npz": lambda path: written(np.savez, path),
    "compressed npz": lambda path: written(np.savez_compressed, path),
    "pickle": lambda path: path.write_bytes(pickle.dumps(ARRAYS)),
    "oldest pickle": lambda path: path.write_bytes(pickle.dumps(ARRAYS, 0)),
    "safetensors": lambda path: save_file(ARRAYS, path),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_the_content_says_what_a_file_is(tmp_path, kind):
    path = tmp_path / "weights.dat"
    WRITERS[kind](path)
    found = dict(sources.read(path))
    assert found.keys() == {("W1",), ("b1",)}
    for name, a in ARRAYS.items():
        np.testing.assert_array_equal(found[name,], a)
        assert found[name,].dtype == a.dtype


def npy(array=ARRAYS["W1"], **options):
    content = io.BytesIO()
    np.save(content, array, **options)
    return content.getvalue()


def zipped(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_npy", ".npy").replace("_pkl", ".pkl"), data)
    return content.getvalue()


OBJECTS = npy(np.array([None]), allow_pickle=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no pickle, or a damaged one"),
        (b"text", "no pickle, or a damaged one"),
        (npy(), "a single array; name the folder of all of them"),
        (zipped(archive__data_pkl=b"."), "PyTorch's own file format is not read; in PyTorch, write"),
        (zipped(W1_npy=OBJECTS), "W1.npy: refused: it holds Python objects"),
        (zipped(W1_npy=b"text"), "W1.npy: no .npy file, or a damaged one"),
        (zipped(W1_npy=npy()[:-5]), "W1.npy: no .npy file, or a damaged one"),
        (zipped(W1_npy=npy().replace(b"(2, 3)", b"(9, 9)")), "W1.npy: no .npy file, or a damaged one"),
        (zipped(W1_npy=npy())[:-30], "no .npz file, or a damaged one"),
        (zipped(W1_npy=npy())[:36] + bytes([255] * 9) + zipped(W1_npy=npy())[45:], "no .npz file, or a damaged one"),
        (b"PK\x03\x04", "no .npz file, or a damaged one"),
        (b"\x05" + bytes(7) + b"{}", "no safetensors file, or a damaged one"),
    ],
)
def test_other_files(tmp_path, content, message):
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    with pytest.raises(fn.CheckpointError, match=message):
        sources.read(path)


def test_a_small_file_cannot_ask_for_all_memory(tmp_path, monkeypatch):
    path = tmp_path / "weights.npz"
    monkeypatch.setattr(sources, "_LARGEST", 10**6)
    path.write_bytes(zipped(W1_npy=npy(np.zeros(10**6))))
    assert path.stat().st_size < 10**5
    with pytest.raises(fn.CheckpointError, match="its arrays are larger than 0 GiB"):
        sources.read(path)
    monkeypatch.undo()
    header = npy(np.zeros(1)).replace(b"(1,), }          ", b"(9999999999999,),}")
    path.write_bytes(zipped(W1_npy=header))
    with pytest.raises(fn.CheckpointError, match="too large for this machine's memory|damaged"):
        sources.read(path)


def test_folders_and_paths_that_are_refused(tmp_path):
    with pytest.raises(fn.CheckpointError, match="cannot be read: No such file or directory"):
        sources.read(tmp_path / "none")
    with pytest.raises(fn.CheckpointError, match="the folder has no .npy files"):
        sources.read(tmp_path)
    (tmp_path / "W1.npy").write_bytes(OBJECTS)
    with pytest.raises(fn.CheckpointError, match="W1.npy: refused: it holds Python objects"):
        sources.read(tmp_path)
    for ending in (".pt", ".pth"):
        (tmp_path / f"m{ending}").write_bytes(b"\x80\x02.")
        with pytest.raises(fn.CheckpointError, match="PyTorch's own file format is not read"):
            sources.read(tmp_path / f"m{ending}")


def test_safetensors_that_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    fn.Sequential([fn.Dense(2, 2)], (2,), backend="numpy").save(path)
    with pytest.raises(fn.CheckpointError, match="a fastnn model already"):
        sources.read(path)
    save_file({"0.weight": np.zeros((2, 2), np.uint8)}, path)
    with pytest.raises(fn.CheckpointError, match="0.weight must be F16, F32 or F64, got U8"):
        sources.read(path)
