"""From a folder of images to a prediction, as a user goes: train, repeat, evaluate, predict."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fastnn import datasets, load
from fastnn.cli import main

TRAIN = [
    "train", "--dataset", "drawings", "--split", "0.6/0.2/0.2", "--image-size", "8", "--grey", "--standardize",
    "--model", "mlp", "--hidden", "32", "--shift", "0.5", "--rotate", "5", "--lr-schedule", "constant",
    "--epochs", "300", "--patience", "15", "--monitor", "val_accuracy", "--batch-size", "32", "--backend", "numpy",
]  # fmt: skip


def fastnn(*arguments):
    result = CliRunner().invoke(main, [str(each) for each in arguments], prog_name="fastnn")
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with drawings/zero/0.png, ...: sixty of each of four digits, enlarged; and a run on them."""
    place = tmp_path_factory.mktemp("own")
    (x, y), _ = datasets.load_digits()
    for label, name in enumerate(("zero", "one", "two", "three")):
        folder = place / "drawings" / name
        folder.mkdir(parents=True)
        for number, pixels in enumerate(x[y == label][:60, ..., 0]):
            Image.fromarray(np.uint8(pixels * 255)).resize((16, 16)).save(folder / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        (place / "output").write_text(fastnn(*TRAIN, "--out", "run"))
    return place


@pytest.fixture(autouse=True)
def inside(place, monkeypatch):
    monkeypatch.chdir(place)


def test_the_training_stops_early_and_says_on_what_it_was_measured():
    lines = Path("output").read_text().splitlines()
    assert lines[0].startswith("mlp on drawings: 144 training, 48 validation and 48 test images, ")
    assert lines[-2] == "stopped: no better validation accuracy for 15 epochs"
    assert float(re.search(r"test accuracy (\S+)%", lines[-1])[1]) > 90


def test_the_folder_repeats_the_run():
    fastnn("train", "--config", "run", "--out", "again")
    for name in ("config.toml", "model.safetensors", "last.safetensors"):
        assert Path("run", name).read_bytes() == Path("again", name).read_bytes()


def test_evaluate_finds_the_same_test_images():
    found = fastnn("evaluate", "run", "--backend", "numpy")
    assert found.startswith("48 test images of drawings: loss ")
    accuracy = re.search(r"test (accuracy \S+%) ", Path("output").read_text())[1]
    assert found.endswith(f"{accuracy}\n")


def test_predict_tells_the_classes_by_their_names():
    assert load("run/model.safetensors", backend="numpy").class_names == ["one", "three", "two", "zero"]
    for name in ("zero", "one", "two", "three"):
        rows = json.loads(fastnn("predict", "run", Path("drawings", name), "--json", "--backend", "numpy"))
        assert len(rows) == 60
        assert np.mean([row["label"] == name for row in rows]) > 0.9
