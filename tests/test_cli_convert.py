"""`fastnn import` and `fastnn export`, from a script's files to an evaluation and back."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

import fastnn
from fastnn.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs fastnn in an empty folder; the result has exit_code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(a) for a in arguments], prog_name="fastnn")


@pytest.fixture(scope="module")
def model():
    """A small network that has learnt the digits."""
    (x, y), _ = fastnn.datasets.load_digits()
    layers = [fastnn.Flatten(), fastnn.Dense(None, 16), fastnn.ReLU(), fastnn.Dense(16, 10)]
    network = fastnn.Sequential(layers, (8, 8, 1), backend="numpy", seed=0)
    network.fit(x, y, epochs=10, verbose=False)
    return network


def assert_one_line(result, status, *parts):
    assert result.exit_code == status
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    for part in parts:
        assert part in result.stderr


def done(result):
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("name", ["w.npz", "w", "w.safetensors"])
def test_there_and_back_and_evaluated(run, model, name):
    model.save("m.safetensors")
    out = done(run("export", "m.safetensors", name))
    assert out.startswith(("W1, b1, W2, b2 written to w", "1.weight, 1.bias, 3.weight, 3.bias written to w"))
    out = done(run("import", name, "--out", "n.safetensors", "--activations", "relu,softmax", "--dataset", "digits"))
    assert out == "Flatten, Dense, ReLU, Dense: 1,210 parameters, float32, written to n.safetensors\n"
    again = fastnn.load("n.safetensors", backend="numpy")
    np.testing.assert_array_equal(again.parameters, model.parameters)
    assert again.class_names == list("0123456789")
    assert again.metadata == {"imported": name, "dataset": "digits"}
    accuracy = model.evaluate(*fastnn.datasets.load_digits()[1])[1]
    assert f"accuracy {accuracy:.2%}" in done(run("evaluate", "n.safetensors", "--backend", "numpy"))


def test_a_pickle_with_every_option(run, tmp_path):
    rng = np.random.default_rng(0)
    layers = [{"weights": rng.standard_normal((3, 12))}, {"weights": rng.standard_normal((3, 3)), "mask": np.ones(3)}]
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(layers))
    (tmp_path / "names.txt").write_text("cat\n\ndog \nhen\n")
    out = done(run(
        "import", "w.pkl", "--out", "m", "--activations", "tanh, linear", "--class-names", "names.txt",
        "--input-shape", "2x2x3", "--dtype", "float32", "--layout", "out-in", "--channels-first",
    ))  # fmt: skip
    assert out == ("1.mask: no weights of a layer, left out\n"
                   "Flatten, Dense, Tanh, Dense: 45 parameters, float32, written to m\n")  # fmt: skip
    model = fastnn.load("m", backend="numpy")
    assert model.class_names == ["cat", "dog", "hen"]
    assert model.input_shape == (2, 2, 3)
    x = rng.standard_normal((4, 3, 2, 2))
    expected = np.tanh(x.reshape(4, 12) @ layers[0]["weights"].T) @ layers[1]["weights"].T
    np.testing.assert_allclose(model.predict_outputs(x.transpose(0, 2, 3, 1)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", [["--network", "lenet5", "--activation", "tanh"], ["--like", "m.safetensors"]])
def test_a_convolutional_network(run, architecture):
    def new(seed):
        layers = fastnn.networks.lenet5((8, 8, 1), 10, activation="tanh")
        return fastnn.Sequential(layers, (8, 8, 1), backend="numpy", seed=seed)

    lenet, other = new(1), new(2)
    other.save("m.safetensors")
    fastnn.export_model(lenet, "w.safetensors")
    assert load_file("w.safetensors")["0.weight"].shape == (6, 1, 5, 5)
    out = done(run("import", "w.safetensors", "--out", "n", *architecture, "--dataset", "digits"))
    assert out.startswith("Conv2D, Tanh, MaxPool2D, ")
    again = fastnn.load("n", backend="numpy")
    np.testing.assert_array_equal(again.parameters, lenet.parameters)
    named = {"network": "lenet5"} if "--network" in architecture else {}
    assert again.metadata == {"imported": "w.safetensors", "dataset": "digits", **named}
    assert again.input_shape == (8, 8, 1)
    assert again.class_names == (list("0123456789") if "--network" in architecture else None)


def test_export_of_a_run_folder(run, model, tmp_path):
    (tmp_path / "run").mkdir()
    model.save("run/model.safetensors")
    assert "written to w.dat" in done(run("export", "run", "w.dat", "--format", "npz"))
    with np.load("w.dat") as file:
        assert set(file) == {"W1", "b1", "W2", "b2"}


# Errors


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["import", "w.npz", "--activations", "relu,relu"], 2, "Missing option '--out'"),
        (["import", "w.npz", "--out", "m"], 2, "give one of --activations, --network and --like"),
        (["import", "w.npz", "--out", "m", "--activations", "a", "--network", "cnn"], 2, "give one of --activations"),
        (["import", "w.npz", "--out", "m", "--network", "alex"], 2, "'alex' is not one of mlp, cnn, lenet5"),
        (["import", "w.npz", "--out", "m", "--network", "mlp"], 2, "--network needs --input-shape or --dataset"),
        (["import", "w.npz", "--out", "m", "--like", "m", "--dtype", "float32"], 2, "--dtype does not go with --like"),
        (["import", "w.npz", "--out", "m", "--network", "mlp", "--input-shape", "4", "--layout", "in-out"], 2,
         "--layout does not go with --network"),
        (["import", "w.npz", "--out", "m", "--activations", "a", "--hidden", "4"], 2, "--hidden goes with --network"),
        (["import", "w.npz", "--out", "m", "--network", "mlp", "--input-shape", "4", "--hidden", "0"], 2, "hidden"),
        (["import", "w.npz", "--out", "m", "--network", "mlp", "--input-shape", "4", "--hidden", "5"], 1,
         "w.npz: W1 must have shape (4, 5) for layer 1 (Dense), got (4, 3)"),
        (["import", "w.npz", "--out", "m", "--activations", "a", "--input-shape", "4,x"], 2, "no shape such as 784"),
        (["import", "w.npz", "--out", "m", "--activations", "relu"], 1, "import_model: activations must be 2 names"),
        (["import", "w.npz", "--out", "m", "--activations", "relu,max"], 1, "activations must be of relu, "),
        (["import", "w.npz", "--out", "m", "--like", "none"], 1, "none: cannot be read: No such file"),
        (["import", "none", "--out", "m", "--activations", "relu"], 1, "none: cannot be read: No such file"),
        (["import", "evil.pkl", "--out", "m", "--activations", "relu"], 1, "evil.pkl: refused: it names os.system;"),
        (["import", "w.npz", "--out", "no/m", "--activations", "relu,relu"], 1, "no/m: cannot be written: No such"),
        (["import", "w.npz", "--out", "m", "--activations", "relu,relu", "--dataset", "digits"], 1,
         "w.npz: W1 (4, 3) does not fit samples of 64 values"),
        (["export", "w.npz", "out"], 1, "w.npz: no safetensors file, or a damaged one"),
        (["export", "none", "out"], 1, "none: cannot be read"),
        (["export", "m.safetensors", "out.h5"], 1, "path must end in .npz, .safetensors or nothing, got 'out.h5'"),
        (["export", "m.safetensors", "out.h5", "--format", "h5"], 2, "'h5' is not one of 'npz', 'npy', 'pytorch'"),
        (["export", "m.safetensors", "w.pkl"], 1, "path must end in .npz"),
    ],
)  # fmt: skip
def test_errors(run, tmp_path, model, arguments, status, part):
    np.savez("w.npz", W1=np.ones((4, 3)), b1=np.ones(3), W2=np.ones((3, 2)))
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch touched'\ntR.")
    model.save("m.safetensors")
    assert_one_line(run(*arguments), status, "fastnn", part)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.pkl", "m.safetensors", "w.npz"]
