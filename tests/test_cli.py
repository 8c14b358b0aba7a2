"""The command line, on the embedded digits and the numpy backend."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import fastnn
from fastnn import datasets
from fastnn.callbacks import LivePlot
from fastnn.cli import _progress, main
from fastnn.settings import TABLES

TRAIN = ["train", "--model", "mlp", "--epochs", "2", "--backend", "numpy"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs fastnn in an empty folder; the result has exit_code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    return lambda *arguments: CliRunner().invoke(main, [str(a) for a in arguments], prog_name="fastnn")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder, and what the command wrote to stdout."""
    folder = tmp_path_factory.mktemp("trained") / "new" / "run"
    result = CliRunner().invoke(main, [*TRAIN, "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder, result.stdout


def assert_one_line(result, status, *parts):
    assert result.exit_code == status
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    for part in parts:
        assert part in result.stderr


def test_train_writes_one_line_an_epoch_where_there_is_no_terminal(trained):
    folder, output = trained
    lines = output.splitlines()
    assert lines[0].startswith("mlp on digits: 1,500 training and 297 test images")
    assert [line.split("  ")[0] for line in lines[1:-1]] == ["epoch 1/2", "epoch 2/2"]
    assert re.match(r"test accuracy \d\d\.\d\d% \(epoch \d of 2, the best on the test images\)", lines[-1])
    assert lines[-1].endswith(f"written to {folder}")


def test_train_writes_the_model_and_the_history(trained):
    folder, output = trained
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.toml", "confusion.png", "curves.png", "environment.json", "filters.png", "history.csv",
        "last.safetensors", "model.safetensors", "top_losses.png",
    ]  # fmt: skip
    with open(folder / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert set(rows[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    model = fastnn.load(folder / "model.safetensors", backend="numpy")
    assert model.class_names == list("0123456789")
    _, accuracy = model.evaluate(*datasets.load_digits()[1])
    assert accuracy == pytest.approx(max(float(row["val_accuracy"]) for row in rows))
    assert f"test accuracy {accuracy:.2%}" in output


def test_runs_are_numbered_and_the_seed_decides_the_result(run, tmp_path):
    for seed in (3, 3, 4):
        assert run(*TRAIN, "--epochs", 1, "--seed", seed).exit_code == 0
    folders = [tmp_path / "runs" / f"digits-mlp-{n}" for n in (1, 2, 3)]
    first, same, other = (
        fastnn.load(folder / "model.safetensors", backend="numpy").parameters for folder in folders
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_every_flag_becomes_a_setting(run):
    result = run(
        "train", "--dataset", "digits", "--data-dir", ".", "--validation-split", 0.2, "--standardize",
        "--model", "cnn", "--shift", "1,2", "--rotate", 5, "--scale", 0.1, "--shear", 4, "--elastic", "8,2",
        "--flip", "both",
        "--crop", 1, "--resize", 0.2, "--cutout", 3, "--mixup", 0.3, "--border", "edge", "--fill", 0.5,
        "--channels", "4,8", "--convs", 2, "--kernel-size", "3,5", "--dense", "none", "--activation", "tanh",
        "--dropout", 0.1, "--batch-norm", "--clip-pre-activations", 9, "--pool-first", "--init", 0.05,
        "--optimizer", "sgd", "--lr", 0.01, "--momentum", 0.8, "--nesterov", "--weight-decay", 1e-4,
        "--lr-schedule", "step", "--lr-every", 2, "--lr-factor", 0.5, "--warmup-steps", 3, "--clip-value", 2,
        "--clip-norm", 3, "--clip-global-norm", 4, "--label-smoothing", 0.1, "--class-weights", "balanced",
        "--epochs", 1, "--batch-size", 400, "--accumulate", 2, "--seed", 1,
        "--threads", 1, "--backend", "numpy", "--dtype", "float64",
        "--precision", "full", "--patience", 5, "--monitor", "loss", "--min-delta", 0.01, "--out", "here",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("cnn on digits: 1,200 training, 300 validation and 297 test images, ")
    assert "1 epoch, batch 400" in result.stdout
    assert "validation accuracy" in result.stdout
    assert "the best on the validation images), written to here" in result.stdout
    assert fastnn.Settings.read("here/config.toml").to_dict() == {
        "data": {
            "dataset": "digits", "data_dir": ".", "split": "", "validation_split": 0.2, "image_size": (), "colour": "",
            "image_form": "", "label_column": "", "standardize": True,
        },
        "augmentation": {
            "shift": (1, 2), "rotate": 5, "scale": 0.1, "shear": 4, "elastic": (8, 2), "flip": "both", "crop": 1,
            "resize": 0.2, "cutout": 3, "mixup": 0.3, "border": "edge", "fill": 0.5,
        },
        "network": {
            "name": "cnn", "channels": (4, 8), "convs": 2, "kernel_size": (3, 5), "padding": "same",
            "dense": (), "activation": "tanh",
            "dropout": 0.1, "batch_norm": True, "clip_pre_activations": 9, "pool_first": True, "init": 0.05,
        },
        "optimizer": {
            "name": "sgd", "learning_rate": 0.01, "momentum": 0.8, "nesterov": True, "weight_decay": 1e-4,
        },
        "schedule": {"name": "step", "every": 2, "factor": 0.5, "warmup_steps": 3},
        "clipping": {"value": 2, "norm": 3, "global_norm": 4},
        "loss": {"label_smoothing": 0.1, "class_weights": "balanced"},
        "training": {
            "epochs": 1, "batch_size": 400, "accumulate": 2, "seed": 1, "threads": 1, "backend": "numpy",
            "dtype": "float64", "precision": "full",
        },
        "stopping": {"patience": 5, "monitor": "loss", "min_delta": 0.01},
    }  # fmt: skip


def test_a_config_repeats_a_run_and_flags_change_it(run, trained, tmp_path):
    folder = trained[0]
    for place in (folder, folder / "config.toml"):
        result = run("train", "--config", place, "--out", "again")
        assert result.exit_code == 0, result.output
        for name in ("model.safetensors", "last.safetensors", "config.toml"):
            assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    result = run("train", "--config", folder, "--epochs", 1, "--hidden", "8", "--out", "changed")
    assert result.exit_code == 0, result.output
    before, after = (fastnn.Settings.read(place / "config.toml") for place in (folder, tmp_path / "changed"))
    assert after == before.override({"training.epochs": 1, "network.hidden": (8,)})


def test_a_flag_turns_augmentation_off(run):
    flags = ["--shift", 2, "--flip", "horizontal", "--elastic", "34,4", "--epochs", 1, "--out", "on"]
    assert run(*TRAIN, *flags).exit_code == 0
    off = ["--shift", 0, "--flip", "none", "--elastic", 0, "--out", "off"]
    result = run("train", "--config", "on", *off)
    assert result.exit_code == 0, result.output
    on, off = (fastnn.Settings.read(f"{name}/config.toml").augmentation for name in ("on", "off"))
    assert (on.shift, on.flip, on.elastic) == ((2, 2), "horizontal", (34, 4))
    assert off == fastnn.Settings().augmentation


def test_a_training_says_that_it_stopped_early(run):
    stops = ["--patience", 2, "--monitor", "val_accuracy", "--min-delta", 1]
    result = run(*TRAIN, "--epochs", 30, *stops, "--lr-schedule", "plateau", "--lr-min", 1e-4)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[-3].startswith("epoch 3/30 ")
    assert lines[-2] == "stopped: no better test accuracy for 2 epochs"
    assert " of 3, the best on the test images)" in lines[-1]


def test_curves_are_shown_during_the_training(run, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    monkeypatch.setenv("MPLBACKEND", "agg")
    draw, drawn = LivePlot._draw, []
    monkeypatch.setattr(LivePlot, "_draw", lambda self: drawn.append((draw(self), self.filename.exists())[1]))
    result = run(*TRAIN, "--out", "here", "--live-plot", "--tensorboard", "logs/new")
    assert result.exit_code == 0, result.output
    assert drawn[0]
    assert (tmp_path / "here" / "curves.png").exists()
    assert sorted(path.name for path in (tmp_path / "logs" / "new").iterdir()) == ["train", "validation"]


@pytest.mark.parametrize(
    ("module", "flags", "message"),
    [
        ("matplotlib", ["--live-plot"], "matplotlib is not installed (pip install 'fastnn[plot]')"),
        ("tensorboardX", ["--tensorboard", "log"], "tensorboardX is not installed (pip install 'fastnn[tensorboard]')"),
    ],
)
def test_what_shows_curves_is_looked_for_at_once(run, tmp_path, monkeypatch, module, flags, message):
    for name in (module, f"{module}.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    result = run(*TRAIN, *flags)
    assert result.exit_code == 1
    assert result.stderr.strip().endswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_tensorboard_that_cannot_be_written(run, tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    result = run(*TRAIN, "--tensorboard", "logs")
    assert result.exit_code == 1
    assert "Permission denied" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_recipe(run, tmp_path):
    result = run("train", "--recipe", "mlp-sigmoid", "--dataset", "digits", "--epochs", 1, "--backend", "numpy")
    assert result.exit_code == 0, result.output
    assert "mlp on digits" in result.stdout
    found = fastnn.Settings.read(tmp_path / "runs" / "digits-mlp-sigmoid-1" / "config.toml")
    assert found == fastnn.recipes.load("mlp-sigmoid").override(
        {"data.dataset": "digits", "training.epochs": 1, "training.backend": "numpy"}
    )


def test_recipes_are_listed_and_shown(run):
    lines = run("recipes").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(fastnn.recipes.names())
    assert lines[0].endswith(fastnn.recipes.description("cifar-small"))
    assert run("recipes", "lenet5").stdout == fastnn.recipes.load("lenet5").text()
    assert_one_line(run("recipes", "mpl"), 2, "'mpl' is not one of cifar-small, cnn, ")


def test_a_dry_run_writes_nothing(run, tmp_path):
    for out in ([], ["--out", "new/folder"]):
        result = run(*TRAIN, "--dry-run", "--epochs", 100, *out)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("dry run: two batches of 128 went through ")
        assert result.stdout.endswith("nothing was written\n")
        assert len(result.stdout.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_meets_the_errors_of_the_run(run, tmp_path, monkeypatch):
    assert_one_line(run(*TRAIN, "--dry-run", "--class-weights", "1,2"), 1, "class_weights must be 10 numbers, got 2")
    (tmp_path / "locked").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: path.name != "locked")
    result = run(*TRAIN, "--dry-run", "--out", "locked/below/folder")
    assert_one_line(result, 1, f"{tmp_path / 'locked'}: Permission denied")


def test_a_training_that_cannot_begin_leaves_no_folder(run, tmp_path):
    (tmp_path / "table.csv").write_text("\n".join(f"{n % 3},{n},{n % 5}" for n in range(30)))
    table = ["train", "--dataset", "table.csv", "--label-column", 0, "--model", "cnn", "--backend", "numpy"]
    result = run(*table)
    assert_one_line(result, 1, "table.csv: holds rows of 2 numbers, no images")
    assert list((tmp_path / "runs").iterdir()) == []
    (tmp_path / "own").mkdir()
    assert run(*table, "--out", "own").exit_code == 1
    assert (tmp_path / "own").is_dir()


def test_flags_of_a_users_own_data(run, tmp_path):
    from PIL import Image

    for number in range(24):
        (tmp_path / "pets" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 7 + number), 10 * number).save(tmp_path / "pets" / "ab"[number % 2] / f"{number}.png")
    result = run(
        "train", "--dataset", "pets", "--image-size", "8x6", "--colour", "--split", "0.5/0.25/0.25", "--model", "mlp",
        "--image-form", "plain", "--no-standardize", "--epochs", 1, "--backend", "numpy",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("mlp on pets: 12 training, 6 validation and 6 test images, ")
    settings = fastnn.Settings.read("runs/pets-mlp-1/config.toml").data
    assert (settings.image_size, settings.colour, settings.standardize) == ((8, 6), True, False)
    model = fastnn.load("runs/pets-mlp-1/model.safetensors", backend="numpy")
    assert model.input_shape == (8, 6, 3)
    again = run("train", "--config", "runs/pets-mlp-1", "--grey", "--image-size", 5, "--out", "again")
    assert fastnn.load("again/model.safetensors", backend="numpy").input_shape == (5, 5, 1), again.output
    lines = "\n".join(f"{n},{('x', 'y')[n % 2]},{n % 5}" for n in range(30))
    (tmp_path / "my table.csv").write_text(lines)
    assert run("train", "--dataset", "my table.csv", "--model", "mlp", "--epochs", 1, "--backend", "numpy",
               "--label-column", 1, "--out", "table").exit_code == 0  # fmt: skip
    assert type(fastnn.load("table/model.safetensors", backend="numpy").layers[0]).__name__ == "Standardize"
    assert run("evaluate", "table", "--backend", "numpy").stdout.startswith("3 test samples of my table.csv: loss ")


@pytest.mark.parametrize("name", ["model.safetensors", "."])
def test_evaluate(run, trained, name):
    result = run("evaluate", trained[0] / name, "--backend", "numpy")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("297 test images of digits: loss ")
    accuracy = re.search(r"test (accuracy \d\d\.\d\d%) \(", trained[1])[1]
    assert accuracy in result.stdout


def test_evaluate_with_a_report(run, trained):
    pytest.importorskip("matplotlib")
    for _ in range(2):
        result = run("evaluate", trained[0], "--backend", "numpy", "--report", "new/report")
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].startswith("297 test images of digits: loss ")
    cells = [line.split() for line in lines]
    assert ["class", "precision", "recall", "F1", "images"] in cells
    assert {row[0] for row in cells if len(row) == 5} >= {*"0123456789", "mean"}
    assert lines[-2].startswith("most confused: ")
    assert lines[-1] == "written to new/report"
    folder = Path("new/report")
    assert sorted(path.name for path in folder.iterdir()) == [
        "confusion.png", "curves.png", "filters.png", "report.json", "report.md", "top_losses.png",
    ]  # fmt: skip
    accuracy = json.loads((folder / "report.json").read_text())["accuracy"]
    assert f"accuracy {accuracy:.2%}" in lines[0]
    assert (folder / "report.md").read_text().startswith("# run on digits\n")


def test_evaluate_shows_the_worst_of_many_classes():
    from fastnn.cli.evaluate import _table
    from fastnn.report import evaluate as measure

    model = fastnn.Sequential([fastnn.Dense(30, 30)], (30,), backend="numpy")
    model.layers[0].weights = np.eye(30)
    labels = np.arange(30)
    labels[[3, 7]] = labels[[7, 3]]
    table = _table(measure(model, np.eye(30) * 9, labels))
    assert table.title == "the 20 of 30 classes with the lowest F1"
    names = [str(cell) for cell in table.columns[0].cells]
    assert names[:2] == ["3", "7"]
    assert len(names) == 21
    assert names[-1] == "mean"


def test_a_report_cannot_be_written_over_a_file(run, trained):
    Path("file").write_text("")
    assert_one_line(run("evaluate", trained[0], "--report", "file"), 2, "file", "is a file")


def test_evaluate_needs_a_dataset_when_the_model_names_none(run, tmp_path):
    fastnn.Sequential([fastnn.Dense(64, 10)], input_shape=(64,), backend="numpy").save("plain.safetensors")
    assert_one_line(run("evaluate", "plain.safetensors"), 2, "plain.safetensors", "add --dataset")
    result = run("evaluate", "plain.safetensors", "--dataset", "digits", "--backend", "numpy")
    assert result.stdout.startswith("297 test samples of digits: loss ")
    fastnn.Sequential([fastnn.Dense(65, 10)], input_shape=(65,), backend="numpy").save("plain.safetensors")
    result = run("evaluate", "plain.safetensors", "--dataset", "digits", "--backend", "numpy")
    assert_one_line(result, 1, "digits: samples have shape (8, 8, 1), but the model takes (65,)")


def test_info(run):
    result = run("info")
    assert result.exit_code == 0, result.output
    names = [line.split("  ")[0] for line in result.stdout.splitlines()]
    assert names[0] == "fastnn"
    assert {"cpu", "features", "tile", "threading layer", "threads", "cache folder"} <= set(names)


def test_the_first_run_says_that_it_compiles(monkeypatch):
    from fastnn import _system
    from fastnn.cli._run import prepare

    for cached, expected in ((False, "compiling kernels (once)\n"), (True, "")):
        monkeypatch.setattr(_system, "kernels_cached", lambda cached=cached: cached)
        with CliRunner().isolation() as (output, *_):
            prepare("numba", None)
            assert output.getvalue().decode() == expected


def test_version_and_help(run):
    assert run("--version").stdout == f"fastnn {fastnn.__version__}\n"
    for command in ([], ["train"], ["evaluate"], ["predict"], ["info"], ["warmup"]):
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert "--debug" in result.stdout
    assert "[mlp|cnn|lenet5|vgg|resnet]" in run("train", "--help").stdout
    for table in TABLES:
        assert f"{table.capitalize()}:" in run("train", "--help").stdout.splitlines()
    assert "[digits|mnist|fashion-mnist|kmnist|cifar10|PATH]" in run("train", "--help").stdout
    assert run().exit_code == 2


# Errors


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["train", "--model", "gpt"], "'gpt' is not one of mlp, cnn, lenet5"),
        (["train", "--image-size", "big"], "'big' is no size like 28 or 28x32"),
        (["train", "--image-size", "0"], "--image-size must be >= 1, got 0"),
        (["train", "--image-size", "1x2x3"], "--image-size must be an integer or a pair of them"),
        (["train", "--image-form", "round"], "'round' is not one of 'plain', 'mnist'"),
        (["train", "--optimizer", "lion"], "'lion' is not one of sgd, rmsprop, adam, adamw"),
        (["train", "--backend", "cuda"], "'cuda' is not one of 'numba', 'numpy'"),
        (["train", "--epochs", "0"], "0 is not in the range x>=1"),
        (["train", "--batch-size", "many"], "'many' is not a valid integer"),
        (["train", "--lr", "0"], "0.0 is not in the range x>0"),
        (["train", "--lr", "nan"], "--lr must be > 0, got nan"),
        (["train", "--momentum", "0.9"], "--momentum is no setting of adam: there is learning_rate, betas"),
        (["train", "--optimizer", "sgd", "--momentum", "1"], "--momentum must be >= 0 and < 1, got 1.0"),
        (["train", "--optimizer", "sgd", "--nesterov", "--momentum", "0"], "--momentum must be > 0 for nesterov"),
        (["train", "--hidden", "3"], "--hidden is no setting of cnn"),
        (["train", "--model", "mlp", "--hidden", "3,x"], "'3,x' is no list like 256,128|none"),
        (["train", "--model", "mlp", "--hidden", "0"], "--hidden must be >= 1, got 0"),
        (["train", "--init", "she"], "--init must be one of 'he_normal'"),
        (["train", "--lr-schedule", "inverse-time"], "--lr-decay is missing: inverse-time needs it"),
        (["train", "--rotate", "-1"], "--rotate must be >= 0 and <= 180, got -1.0"),
        (["train", "--elastic", "3"], "--elastic must be 0 or a pair of numbers, got 3.0"),
        (["train", "--flip", "left"], "'left' is not one of 'horizontal', 'vertical', 'both', 'none'"),
        (["train", "--recipe", "mpl"], "'mpl' is not one of cifar-small, cnn, "),
        (["train", "--recipe", "mlp", "--config", "x"], "--config and --recipe exclude each other"),
        (["train", "--threads", "0"], "0 is not in the range x>=1"),
        (["train", "--seed", "-1"], "-1 is not in the range x>=0"),
        (["train", "surplus"], "unexpected extra argument"),
        (["train", "--nonsense"], "No such option"),
        (["evaluate"], "Missing argument 'MODEL'"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_wrong_usage(run, arguments, part):
    assert_one_line(run(*arguments), 2, "fastnn", part, "--help)")


def test_errors_of_files(run, tmp_path, trained):
    (tmp_path / "text.safetensors").write_text("not a model")
    (tmp_path / "file").write_text("")
    (tmp_path / "mnist").mkdir()
    name = "train-images-idx3-ubyte"
    for part in (name, "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / "mnist" / part).write_bytes(b"\x1f\x8bnonsense")
    assert_one_line(run("evaluate", "nowhere.safetensors"), 1, "nowhere.safetensors")
    assert_one_line(run(*TRAIN, "--dataset", "nonsense"), 1, "'nonsense' is none of digits, mnist")
    assert_one_line(run("evaluate", "text.safetensors"), 1, "text.safetensors")
    assert_one_line(run(*TRAIN, "--out", "file"), 2, "file", "is a file")
    assert_one_line(run(*TRAIN, "--out", "file/below"), 1, "file/below", "Not a directory")
    assert_one_line(run("train", "--config", "nowhere.toml"), 1, "nowhere.toml: cannot be read: No such file")
    (tmp_path / "bad.toml").write_text("[training]\nepochs = 0")
    assert_one_line(run("train", "--config", "bad.toml"), 1, "bad.toml: training.epochs must be >= 1, got 0")
    mnist = [*TRAIN, "--dataset", "mnist", "--data-dir"]
    assert_one_line(run(*mnist, "nowhere"), 1, "no MNIST files in nowhere")
    assert_one_line(run(*mnist, "."), 1, f"{name}: damaged gzip file")
    assert not (tmp_path / "runs").exists()
    result = run("evaluate", trained[0], "--dataset", "mnist", "--data-dir", ".")
    assert_one_line(result, 1, f"{name}: damaged gzip file")


def test_a_training_that_cannot_be(run):
    result = run(*TRAIN, "--optimizer", "sgd", "--lr", 1e9)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "the loss is" in result.stderr


@pytest.mark.parametrize("place", [0, 2])
def test_debug_shows_the_traceback(run, place):
    arguments = ["evaluate", "nowhere", "--dataset", "digits"]
    result = run(*arguments[:place], "--debug", *arguments[place:])
    assert isinstance(result.exception, fastnn.CheckpointError)


def test_an_interrupt_is_one_line(run, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "load", interrupt)
    assert_one_line(run(*TRAIN), 130, "fastnn: interrupted")


def test_an_interrupted_training_says_where_its_results_are(run, monkeypatch):
    def interrupt(self, epoch, logs):
        raise KeyboardInterrupt

    monkeypatch.setattr(_progress.EpochLines, "on_epoch_end", interrupt)
    result = run(*TRAIN, "--out", "here")
    assert result.exit_code == 130
    assert result.stdout.splitlines()[-1] == "here has what was reached"
    assert result.stderr == "fastnn: interrupted\n"
    assert fastnn.load("here/model.safetensors", backend="numpy").class_names == list("0123456789")


def test_as_a_module_in_a_process(tmp_path):
    def python(*arguments):
        command = [sys.executable, "-m", "fastnn", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    result = python(*TRAIN, "--epochs", "1")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert (tmp_path / "runs" / "digits-mlp-1" / "model.safetensors").is_file()
    result = python("evaluate", "nowhere")
    assert result.returncode == 1
    assert result.stderr.startswith("fastnn: nowhere")
    assert len(result.stderr.splitlines()) == 1


def test_the_bar_shows_speed_loss_and_accuracy(monkeypatch):
    from rich.console import Console
    from rich.progress import Progress

    console = Console(force_terminal=True, width=120, record=True, force_interactive=True)
    monkeypatch.setattr("rich.progress.Progress", lambda *a, **k: Progress(*a, **{**k, "console": console}))
    bar = _progress.ProgressBar("test")
    bar.on_train_begin({"epochs": 2, "batch_size": 10, "batches": 2, "samples": 20})
    bar.on_epoch_begin(0, {})
    bar.on_batch_end(0, {"loss": 1.5, "accuracy": 0.25, "size": 10, "batches": 2})
    lines = console.render_lines(bar._bar.get_renderable())
    shown = "".join(segment.text for line in lines for segment in line)
    bar.on_epoch_end(0, {"loss": 1, "accuracy": 0.5, "val_loss": 2, "val_accuracy": 0.75, "seconds": 3})
    bar.close()
    for part in ("epoch 1/2", "images/s", "loss 1.5000", "accuracy 25.00%"):
        assert part in shown
    assert "epoch 1/2  loss 1.0000  accuracy 50.00%  test loss 2.0000  " in console.export_text()
