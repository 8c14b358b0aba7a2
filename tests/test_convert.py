"""Importing and exporting, from file to file: what a script computed, the model computes too."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from networks import cnn, filled
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import fastnn as fn
from fastnn.formats.convert import read_weights


def script(layout="in-out", dtype=np.float64, sizes=(6, 5, 4, 3)):
    """The weights of a NumPy script, and what it computes: relu, tanh, softmax."""
    rng = np.random.default_rng(0)
    layers = [(rng.standard_normal((i, o)).astype(dtype), rng.standard_normal((1, o)).astype(dtype))
              for i, o in zip(sizes, sizes[1:], strict=False)]  # fmt: skip
    y = x = rng.standard_normal((7, sizes[0]))
    for (w, b), f in zip(layers, (lambda z: np.maximum(z, 0), np.tanh, np.exp), strict=True):
        y = f(y @ w + b)
    y /= y.sum(axis=1, keepdims=True)
    if layout == "out-in":
        layers = [(w.T, b.T) for w, b in layers]
    return layers, x, y


def as_folder(path, layers):
    path.mkdir()
    for number, (w, b) in enumerate(layers, 1):
        np.save(path / f"W{number}.npy", w)
        np.save(path / f"b{number}.npy", b)


def as_npz(path, layers):
    arrays = {f"{role}{number}": a for number, pair in enumerate(layers) for role, a in zip("wB", pair, strict=True)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def as_list_of_dicts(path, layers):
    path.write_bytes(pickle.dumps([{"weights": w, "biases": b} for w, b in layers]))


def as_dict(path, layers):
    pairs = OrderedDict()
    for number, (w, b) in enumerate(layers, 1):
        pairs[f"W{number}"], pairs[f"b{number}"] = w, b
    path.write_bytes(pickle.dumps({"params": pairs, "epochs": 40, "rate": np.float64(0.1)}, 2))


def as_tuples(path, layers):
    path.write_bytes(pickle.dumps(([w for w, _ in layers], [b for _, b in layers]), 0))


def as_state_dict(path, layers):
    arrays = {}
    for number, (w, b) in enumerate(layers):
        out_in = w.T if w.shape[1] == b.size else w
        arrays |= {f"{2 * number}.weight": np.ascontiguousarray(out_in), f"{2 * number}.bias": b.reshape(-1)}
    save_file(arrays, path)


@pytest.mark.parametrize("layout", ["in-out", "out-in"])
@pytest.mark.parametrize("write", [as_folder, as_npz, as_list_of_dicts, as_dict, as_tuples, as_state_dict])
def test_the_model_computes_what_the_script_did(tmp_path, write, layout):
    layers, x, y = script(layout)
    write(tmp_path / "w", layers)
    model = fn.import_model(tmp_path / "w", ["relu", "tanh", "softmax"], class_names=["a", "b", "c"], backend="numpy")
    assert model.dtype == np.float64
    assert not model.training
    np.testing.assert_allclose(model.predict_proba(x), y, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(x), y.argmax(axis=1))
    model.save(tmp_path / "m.safetensors")
    loaded = fn.load(tmp_path / "m.safetensors", backend="numpy")
    np.testing.assert_array_equal(loaded.predict_proba(x), model.predict_proba(x))
    assert loaded.class_names == ["a", "b", "c"]
    loaded.fit(x, y.argmax(axis=1), verbose=False)


def test_dtype_input_shape_and_layers_without_biases(tmp_path):
    layers, x, y = script(dtype=np.float32)
    with (tmp_path / "w").open("wb") as file:
        np.savez(file, W1=layers[0][0], W2=layers[1][0], b2=layers[1][1], W3=layers[2][0], mean=np.zeros(3))
    options = {"activations": ("relu", "tanh", "softmax"), "backend": "numpy"}
    model = fn.import_model(tmp_path / "w", **options)
    assert model.dtype == np.float32
    assert [layer.bias for layer in model.layers[::2]] == [False, True, False]
    assert read_weights(tmp_path / "w").ignored == ["mean"]
    assert fn.import_model(tmp_path / "w", **options, dtype="float64").dtype == np.float64
    images = fn.import_model(tmp_path / "w", **options, input_shape=(1, 2, 3))
    x = x.astype(np.float32)
    np.testing.assert_array_equal(images.predict_proba(x.reshape(7, 1, 2, 3)), model.predict_proba(x))
    first = fn.import_model(tmp_path / "w", **options, input_shape=(1, 2, 3), channels_first=True)
    planes = x.reshape(7, 3, 1, 2).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(first.predict_proba(planes), model.predict_proba(x), rtol=1e-5)


def test_a_state_dict_flattens_channels_first(tmp_path):
    layers, x, y = script()
    as_state_dict(tmp_path / "w", layers)
    options = {"activations": ("relu", "tanh", "softmax"), "backend": "numpy", "input_shape": (1, 2, 3)}
    model = fn.import_model(tmp_path / "w", **options)
    np.testing.assert_allclose(model.predict_proba(x.reshape(7, 3, 1, 2).transpose(0, 2, 3, 1)), y, rtol=1e-12)
    model = fn.import_model(tmp_path / "w", **options, channels_first=False)
    np.testing.assert_allclose(model.predict_proba(x.reshape(7, 1, 2, 3)), y, rtol=1e-12)


def test_the_order_of_modules_can_be_given(tmp_path):
    layers, x, y = script()
    arrays = {}
    for name, (w, b) in zip(("inner", "last", "head"), layers, strict=True):
        arrays |= {f"{name}.weight": np.ascontiguousarray(w.T), f"{name}.bias": b[0]}
    save_file(arrays, tmp_path / "w")
    words = ["relu", "tanh", "softmax"]
    with pytest.raises(fn.CheckpointError, match=r"w: inner.weight \(5, 6\) does not fit after .*; if the modules"):
        fn.import_model(tmp_path / "w", words)
    model = fn.import_model(tmp_path / "w", words, order=["inner", "last", "head"], backend="numpy")
    np.testing.assert_allclose(model.predict_proba(x), y, rtol=1e-12)


# There and back


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["w.npz", "w", "w.safetensors"])
def test_export_and_import_are_bit_exact(tmp_path, name, dtype):
    model = filled(fn.Sequential([fn.Flatten(), fn.Dense(None, 5), fn.ReLU(), fn.Dense(5, 3, bias=False)], (2, 3, 2),
                                 dtype=dtype, backend="numpy"))  # fmt: skip
    names = fn.export_model(model, tmp_path / name)
    assert names == (["1.weight", "1.bias", "3.weight"] if "safe" in name else ["W1", "b1", "W2"])
    assert os.listdir(tmp_path) == [name]
    again = fn.import_model(tmp_path / name, ["relu", "linear"], input_shape=(2, 3, 2), backend="numpy")
    assert again.dtype == model.dtype
    assert [repr(layer) for layer in again.layers] == [repr(layer) for layer in model.layers]
    for key, a in model.weights().items():
        np.testing.assert_array_equal(again.weights()[key], a)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("format", ["npz", "npy", "pytorch"])
def test_any_network_comes_back_into_one_like_it(tmp_path, format, dtype):
    model, other = cnn(dtype), filled(cnn(dtype), 5)
    other.metadata["dataset"], other.class_names = "pets", list("abcde")
    before = other.parameters.copy()
    fn.export_model(model, tmp_path / "w.x", format=format)
    again = fn.import_model(tmp_path / "w.x", like=other)
    for key, a in model.weights().items():
        np.testing.assert_array_equal(again.weights()[key], a)
    np.testing.assert_array_equal(other.parameters, before)
    assert (again.metadata, again.class_names) == (other.metadata, other.class_names)
    x = np.random.default_rng(0).standard_normal((3, 6, 8, 3))
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))


def test_what_is_exported_is_what_other_programs_read(tmp_path):
    model = cnn("float32")
    fn.export_model(model, tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as file:
        np.testing.assert_array_equal(file["W5"], model.layers[-1].weights)
    fn.export_model(model, tmp_path / "w")
    np.testing.assert_array_equal(np.load(tmp_path / "w" / "W1.npy"), model.layers[0].weights)
    fn.export_model(model, tmp_path / "w.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "w.safetensors")["12.weight"], model.layers[-1].weights.T)
    with safe_open(tmp_path / "w.safetensors", framework="np") as file:
        assert file.metadata() == {"format": "pt"}


def test_a_folder_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    model = cnn()
    (tmp_path / "empty").mkdir()
    fn.export_model(model, tmp_path / "empty")
    assert len(os.listdir(tmp_path / "empty")) == 21
    with pytest.raises(fn.CheckpointError, match="empty: cannot be written: it exists and is no empty folder"):
        fn.export_model(model, tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(fn.CheckpointError, match="file: cannot be written: it exists and is no empty folder"):
        fn.export_model(model, tmp_path / "file")
    with pytest.raises(fn.CheckpointError, match="none/w: cannot be written: No such file or directory"):
        fn.export_model(model, tmp_path / "none" / "w")

    def full(path, array):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(fn.CheckpointError, match="new: cannot be written: No space left on device"):
        fn.export_model(model, tmp_path / "new")
    assert sorted(os.listdir(tmp_path)) == ["empty", "file"]


# Errors


def test_errors_name_the_file(tmp_path):
    layers, _, _ = script()
    path = tmp_path / "w"
    layers[1] = (np.full((5, 4), np.nan), layers[1][1])
    as_npz(path, layers)
    words = ["relu", "tanh", "softmax"]
    for source, options, message in [
        (tmp_path / "none", {}, "none: cannot be read: No such file"),
        (path, {"activations": words}, "w: w1 must be finite, got nan"),
        (path, {"activations": words, "input_shape": (7,)}, r"w: w0 \(6, 5\) does not fit samples of 7 values"),
        (path, {"activations": words, "layout": "out-in"}, r"w: B0 must have 6 values for w0 \(6, 5\), got shape"),
        (path, {"activations": words, "class_names": list("abcd")}, r"w: w2 \(4, 3\) does not fit 4 outputs"),
        (path, {"like": cnn()}, "w: it holds no Conv2D for layer 0 of the model"),
    ]:
        with pytest.raises(fn.CheckpointError, match=message):
            fn.import_model(source, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "import_model: activations must be 3 names, one for each of w0, w1, w2, got None"),
        ({"activations": ["relu"]}, "import_model: activations must be 3 names, one for each of w0, w1, w2, got 1"),
        ({"activations": ["relu", "relu", "max"]}, "import_model: activations must be of relu, .* got 'max'"),
        ({"activations": ["relu"] * 3, "layout": "io"}, "import_model: layout must be one of 'in-out', .* got 'io'"),
        ({"activations": ["relu"] * 3, "input_shape": (0,)}, "import_model: input_shape must be "),
        ({"activations": ["relu"] * 3, "order": ["w0"]}, "import_model: order must be None for arrays that are num"),
        ({"activations": ["relu"] * 3, "class_names": ["a", "b"]}, "Sequential: class_names must be 3 names, got 2"),
        ({"activations": ["relu"] * 3, "dtype": "int8"}, "dtype must be float32 or float64, got 'int8'"),
        ({"activations": ["relu"] * 3, "channels_first": "no"}, "import_model: channels_first must be True or False"),
        ({"like": 3}, "import_model: like must be a Sequential, got int"),
        ({"like": cnn(), "activations": ["relu"]}, r"activations must be None beside like, .* got \['relu'\]"),
        ({"like": cnn(), "dtype": "float32"}, "import_model: dtype must be None beside like"),
        ({"like": fn.Sequential([fn.Dense(2, 2)])}, "Sequential: shapes are not known yet"),
    ],
)  # fmt: skip
def test_wrong_arguments(tmp_path, options, message):
    as_npz(tmp_path / "w", script()[0])
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        fn.import_model(tmp_path / "w", **options)


def test_wrong_formats(tmp_path):
    with pytest.raises(ValueError, match="export_model: path must end in .npz, .safetensors or nothing, got '.*w.h5'"):
        fn.export_model(cnn(), tmp_path / "w.h5")
    with pytest.raises(ValueError, match="export_model: format must be one of 'npz', 'npy', 'pytorch', got 'h5'"):
        fn.export_model(cnn(), tmp_path / "w.h5", format="h5")
    with pytest.raises(RuntimeError, match="Sequential: shapes are not known yet"):
        fn.export_model(fn.Sequential([fn.Dense(2, 2)]), tmp_path / "w")
    assert os.listdir(tmp_path) == []


# PyTorch itself, where it is installed


def in_pytorch(torch):
    """`networks.cnn` as PyTorch spells it."""
    nn = torch.nn

    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    block = Residual(nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding="same"), nn.ReLU(), nn.BatchNorm2d(4), nn.MaxPool2d(2), block,
        nn.Conv2d(4, 6, (3, 2), padding=(1, 0)), nn.Flatten(), nn.BatchNorm1d(54), nn.Tanh(), nn.Dropout(),
        nn.Linear(54, 7), nn.Tanh(), nn.Linear(7, 5),
    )  # fmt: skip


def outputs(torch, net, x):
    net.eval()
    with torch.no_grad():
        return net(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).numpy()


def test_pytorch_loads_the_export_and_computes_the_same(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_tensors

    model, net = cnn("float32"), in_pytorch(torch)
    fn.export_model(model, tmp_path / "w.safetensors")
    net.load_state_dict(load_tensors(tmp_path / "w.safetensors"), strict=True)
    x = np.random.default_rng(0).standard_normal((3, 6, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(outputs(torch, net, x), model.predict_outputs(x), rtol=1e-4, atol=1e-5)


def test_a_network_of_pytorch_computes_the_same_here(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_tensors

    net = in_pytorch(torch)
    x = np.random.default_rng(0).standard_normal((3, 6, 8, 3)).astype(np.float32)
    net(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))))  # moves the running statistics
    save_tensors(net.state_dict(), tmp_path / "w.safetensors")
    model = fn.import_model(tmp_path / "w.safetensors", like=cnn("float32"))
    np.testing.assert_allclose(model.predict_outputs(x), outputs(torch, net, x), rtol=1e-4, atol=1e-5)
    torch.save(net.state_dict(), tmp_path / "w.bin")
    with pytest.raises(fn.CheckpointError, match="PyTorch's own file format is not read"):
        fn.import_model(tmp_path / "w.bin", like=model)
