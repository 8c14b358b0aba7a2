"""The command line, on the embedded digits and the numpy backend."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import fastnn
from fastnn import datasets
from fastnn.cli import _progress, main

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
    assert lines[-1].startswith("test accuracy")
    assert lines[-1].endswith(f"written to {folder}")


def test_train_writes_the_model_and_the_history(trained):
    folder, output = trained
    assert sorted(path.name for path in folder.iterdir()) == ["history.csv", "model.safetensors"]
    with open(folder / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert set(rows[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    model = fastnn.load(folder / "model.safetensors", backend="numpy")
    assert model.class_names == list("0123456789")
    _, accuracy = model.evaluate(*datasets.load_digits()[1])
    assert accuracy == pytest.approx(float(rows[-1]["val_accuracy"]))
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


def test_every_option_of_train(run):
    result = run(
        "train", "--dataset", "digits", "--data-dir", ".", "--model", "cnn", "--epochs", 1,
        "--batch-size", 500, "--optimizer", "sgd", "--lr", 0.01, "--seed", 1, "--threads", 1,
        "--backend", "numpy", "--out", "here",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "1 epochs, batch 500" in result.stdout


@pytest.mark.parametrize("name", ["model.safetensors", "."])
def test_evaluate(run, trained, name):
    result = run("evaluate", trained[0] / name, "--backend", "numpy")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("297 test images of digits: loss ")
    accuracy = trained[1].splitlines()[-1].split(",")[0].removeprefix("test ")
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
    assert_one_line(result, 1, "Sequential: x must have shape (N, 64), got (297, 8, 8, 1)")


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
    for command in ([], ["train"], ["evaluate"], ["info"], ["warmup"]):
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert "--debug" in result.stdout
    assert "[mlp|cnn|lenet5]" in run("train", "--help").stdout
    assert "[digits|mnist|fashion-mnist|kmnist]" in run("train", "--help").stdout
    assert run().exit_code == 2


# Errors


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["train", "--dataset", "nonsense"], "'nonsense' is not one of digits, mnist"),
        (["train", "--model", "vgg"], "'vgg' is not one of mlp, cnn, lenet5"),
        (["train", "--optimizer", "lion"], "'lion' is not one of sgd, rmsprop, adam, adamw"),
        (["train", "--backend", "cuda"], "'cuda' is not one of 'numba', 'numpy'"),
        (["train", "--epochs", "0"], "0 is not in the range x>=1"),
        (["train", "--batch-size", "many"], "'many' is not a valid integer"),
        (["train", "--lr", "0"], "0.0 is not in the range x>0"),
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
    assert_one_line(run("evaluate", "text.safetensors"), 1, "text.safetensors")
    assert_one_line(run(*TRAIN, "--out", "file"), 2, "file", "is a file")
    assert_one_line(run(*TRAIN, "--out", "file/below"), 1, "file/below", "Not a directory")
    mnist = [*TRAIN, "--dataset", "mnist", "--data-dir"]
    assert_one_line(run(*mnist, "nowhere"), 1, "no MNIST files in nowhere")
    assert_one_line(run(*mnist, "."), 1, f"{name}: damaged gzip file")
    assert not (tmp_path / "runs").exists()
    result = run("evaluate", trained[0], "--dataset", "mnist", "--data-dir", ".")
    assert_one_line(result, 1, f"{name}: damaged gzip file")


def test_a_training_that_cannot_be(run):
    assert_one_line(run(*TRAIN, "--lr", "nan"), 1, "learning_rate must be", "got nan")
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
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "load", interrupt)
    assert_one_line(run(*TRAIN), 130, "fastnn: interrupted")


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
    bar = _progress.ProgressBar()
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
