"""Model files: what comes back, what is written when writing fails, and what is refused."""

import json
import os
import struct

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import fastnn as fn


def everything(dtype="float32"):
    """A model with every kind of layer that has something to keep."""
    block = fn.Residual([fn.Conv2D(4, 4, 3, padding="same"), fn.BatchNorm(4)])
    layers = [
        fn.Conv2D(None, 4, (3, 2), stride=2, padding=(1, 0), activation="relu"), fn.BatchNorm(),
        fn.LeakyReLU(0.2), block, fn.MaxPool2D(2), fn.Dropout(0.3), fn.AvgPool2D(1), fn.Flatten(),
        fn.Dense(None, 8, activation=fn.ELU(0.5)), fn.Reshape((8,)), fn.GELU("tanh"),
        fn.Dense(8, 3, bias=False),
    ]  # fmt: skip
    names = ["cat", "dog", "Ünï"]
    return fn.Sequential(layers, (12, 11, 2), dtype=dtype, backend="numpy", seed=0, class_names=names)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((9, 12, 11, 2)), np.arange(9) % 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_was_saved_comes_back(tmp_path, data, dtype):
    model = everything(dtype)
    model.metadata = {"dataset": "pets", "mean": [0.5, 0.25]}
    model.compile(loss=fn.SoftmaxCrossEntropy(label_smoothing=0.1))
    model.fit(*data, epochs=2, verbose=False)
    path = tmp_path / "m.safetensors"
    model.save(path)

    loaded = fn.load(str(path), backend="numpy")
    assert loaded.summary() == model.summary()
    assert loaded.class_names == ["cat", "dog", "Ünï"]
    assert loaded.metadata == model.metadata
    assert loaded.input_shape == (12, 11, 2)
    assert loaded.dtype == np.dtype(dtype)
    assert not loaded.training
    assert list(loaded.weights()) == list(model.weights())
    for name, a in model.weights().items():
        np.testing.assert_array_equal(loaded.weights()[name], a)
    np.testing.assert_array_equal(loaded.predict_proba(data[0]), model.predict_proba(data[0]))
    assert loaded.evaluate(*data) == model.evaluate(*data)
    loaded.fit(*data, verbose=False)


def test_the_file_is_plain_safetensors_with_names_by_place(tmp_path):
    model = everything()
    model.save(tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", framework="np") as file:
        names = set(file.keys())
        description = json.loads(file.metadata()["fastnn"])
    assert {
        "0.weights",
        "0.biases",
        "1.running_mean",
        "1.running_var",
        "3.0.weights",
        "3.1.running_var",
    } <= names
    assert "11.biases" not in names
    assert description["format"] == 1
    assert [each["type"] for each in description["layers"]] == [type(layer).__name__ for layer in model.layers]


def test_saving_again_replaces_the_file_whole(tmp_path, monkeypatch):
    model = fn.Sequential([fn.Dense(2, 2)], (2,), backend="numpy")
    path = tmp_path / "m.safetensors"
    model.save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    model.parameters[:] = 1
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(fn.CheckpointError, match=r"m.safetensors: cannot be written: No space left on device"):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.safetensors"]
    monkeypatch.undo()
    model.save(path)
    assert (fn.load(path, backend="numpy").parameters == 1).all()
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_saving_where_no_folder_is(tmp_path):
    model = fn.Sequential([fn.Dense(2, 2)], (2,), backend="numpy")
    with pytest.raises(fn.CheckpointError, match="none/m.safetensors: cannot be written: No such file"):
        model.save(tmp_path / "none" / "m.safetensors")
    with pytest.raises(RuntimeError, match="Sequential: shapes are not known yet"):
        fn.Sequential([fn.Dense(2, 2)]).save(tmp_path / "m.safetensors")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(fn.CheckpointError, match="none.safetensors: cannot be read: No such file"):
        fn.load(tmp_path / "none.safetensors")
    with pytest.raises(fn.CheckpointError, match="cannot be read: Is a directory"):
        fn.load(tmp_path)
    for content in (b"", b"not a model at all", struct.pack("<Q", 2**40) + b"{}"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(fn.CheckpointError, match="bad: no safetensors file, or a damaged one"):
            fn.load(tmp_path / "bad")
    path = tmp_path / "m.safetensors"
    everything().save(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(fn.CheckpointError, match="m.safetensors: no safetensors file, or a damaged one"):
        fn.load(path)
    save_file({"a": np.zeros(3)}, path, {"format": "pt"})
    with pytest.raises(fn.CheckpointError, match="a safetensors file, but no fastnn model"):
        fn.load(path)
    assert issubclass(fn.CheckpointError, ValueError)


def tampered(tmp_path, change, arrays=None):
    """Path of a small model whose description went through change."""
    path = tmp_path / "m.safetensors"
    model = fn.Sequential([fn.Dense(2, 2), fn.ReLU()], (2,), backend="numpy")
    model.save(path)
    with safe_open(path, framework="np") as file:
        description = json.loads(file.metadata()["fastnn"])
    changed = change(description)
    arrays = {**model.weights(), **(arrays or {})}
    save_file(
        {k: v for k, v in arrays.items() if v is not None},
        path,
        {"fastnn": json.dumps(changed or description)},
    )
    return path


def put(*keys):
    *keys, last, value = keys

    def change(description):
        for key in keys:
            description = description[key]
        description[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("format", 2), "written by a newer fastnn .format 2.; this one reads up to 1"),
        (put("format", "x"), "no valid model: its metadata have no format number"),
        (lambda d: [d], "no valid model: its metadata have no format number"),
        (lambda d: d.pop("layers") and None, "no valid model: 'layers' is missing"),
        (put("layers", 0, "type", "os.system"), "no valid model: .*type must be one of .*, got 'os.system'"),
        (put("layers", 0, "type", "_base"), "no valid model: .*type must be one of"),
        (put("layers", 0, "type", ["Dense"]), "no valid model: "),
        (put("layers", 0, "shell", "ls"), "no valid model: .*shell"),
        (
            put("layers", 0, "in_features", 3),
            r"no valid model: array 0.weights must have shape \(3, 2\), got \(2, 2\)",
        ),
        (put("layers", 0, "in_features", 10**12), "no valid model: array 0.weights must have shape"),
        (put("layers", 0, "in_features", None), "no valid model: layer 0 .Dense. does not say"),
        (put("layers", [1]), "no valid model: "),
        (put("layers", 7), "no valid model: "),
        (put("layers", []), "no valid model: Sequential: layers must not be empty"),
        (put("input_shape", [3]), "no valid model: Sequential: layer 0 does not fit"),
        (put("input_shape", ["a"]), "no valid model: Sequential: input_shape must be"),
        (put("dtype", "object"), "no valid model: .*dtype must be float32 or float64"),
        (put("class_names", "ab"), "no valid model: class_names must be a list of words"),
        (put("class_names", ["a"]), "no valid model: Sequential: class_names must be 2 names, got 1"),
        (put("metadata", 3), "no valid model: metadata must be an object"),
        (put("loss", {"type": "eval"}), "no valid model: .*type must be one of"),
    ],
)
def test_descriptions_that_are_refused(tmp_path, change, message):
    with pytest.raises(fn.CheckpointError, match=message):
        fn.load(tampered(tmp_path, change), backend="numpy")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"0.biases": None}, "no valid model: array 0.biases is missing"),
        ({"5.weights": np.zeros(3, np.float32)}, "missing or unknown 5.weights"),
        ({"0.biases": np.zeros(3, np.float32)}, r"array 0.biases must have shape \(2,\), got \(3,\)"),
        ({"0.biases": np.zeros(2, np.int64)}, "arrays must be F32 or F64, got I64"),
    ],
)
def test_arrays_that_are_refused(tmp_path, arrays, message):
    with pytest.raises(fn.CheckpointError, match=message):
        fn.load(tampered(tmp_path, lambda description: None, arrays), backend="numpy")


def test_metadata_that_are_no_json(tmp_path):
    path = tmp_path / "m.safetensors"
    for text in ("{", "[" * 100_000):
        save_file({"a": np.zeros(3)}, path, {"fastnn": text})
        with pytest.raises(fn.CheckpointError, match="no valid model: its metadata are not JSON"):
            fn.load(path)
