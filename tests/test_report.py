"""Evaluations: their numbers, the page, the folder, and the pictures of a training."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import fastnn as fn
from fastnn import datasets, report
from fastnn.report import ClassRow, ConfusedPair, WorstSample

PICTURES = ["confusion.png", "filters.png", "top_losses.png"]
ROWS = [{"epoch": 1, "loss": 1.0, "accuracy": 0.5}, {"epoch": 2, "loss": 0.5, "accuracy": 0.75}]


def pass_through(loss, names=None):
    """A model whose output is its input (N, 3)."""
    model = fn.Sequential([fn.Dense(3, 3)], (3,), backend="numpy", class_names=names)
    model.layers[0].weights = np.eye(3)
    model.compile(loss=loss)
    return model


X = np.log([[0.7, 0.2, 0.1], [0.11, 0.78, 0.11], [0.62, 0.3, 0.08], [0.1, 0.85, 0.05], [0.5, 0.3, 0.2]])
Y = np.array([0, 1, 1, 2, 0])


@pytest.mark.parametrize("y", [Y, np.eye(3)[Y], Y[:, None]])
def test_numbers_by_hand(y):
    found = report.evaluate(pass_through(fn.SoftmaxCrossEntropy(), ["a", "b", "c"]), X, y)
    assert found.samples == 5
    assert found.accuracy == pytest.approx(0.6)
    assert found.loss == pytest.approx(-np.log([0.7, 0.78, 0.3, 0.05, 0.5]).mean(), rel=1e-6)
    assert found.top_5_accuracy is None
    assert found.confusion.tolist() == [[2, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert found.classes == [
        ClassRow("a", pytest.approx(2 / 3), 1.0, pytest.approx(0.8), 2),
        ClassRow("b", 0.5, 0.5, 0.5, 2),
        ClassRow("c", 0.0, 0.0, 0.0, 1),
    ]
    assert found.macro.recall == pytest.approx(0.5)
    assert found.weighted.recall == pytest.approx(0.6)
    assert found.confused == [ConfusedPair("c", "b", 1, 1.0), ConfusedPair("b", "a", 1, 0.5)]
    assert found.worst == [
        WorstSample(3, "c", "b", pytest.approx(0.85), pytest.approx(0.05)),
        WorstSample(2, "b", "a", pytest.approx(0.62), pytest.approx(0.3)),
    ]
    errors = np.array([0.7 - 1, 0.78 - 1, 0.62, 0.85, 0.5 - 1])  # every confidence has a bin of its own
    assert found.calibration_error == pytest.approx(np.abs(errors).mean())
    assert len(report.evaluate(pass_through(fn.SoftmaxCrossEntropy()), X, y, top=1).worst) == 1


def test_loss_and_accuracy_are_those_of_the_model():
    x, y = datasets.load_digits()[1]
    model = fn.Sequential([fn.Flatten(), fn.Dense(None, 10)], (8, 8, 1), backend="numpy", seed=0)
    found = report.evaluate(model, x, y, batch_size=100)
    assert (found.loss, found.accuracy) == pytest.approx(model.evaluate(x, y, batch_size=100))
    assert found.class_names == list("0123456789")


def test_other_losses():
    squared = report.evaluate(pass_through(fn.MeanSquaredError()), np.exp(X), Y)
    assert squared.accuracy == pytest.approx(0.6)
    assert squared.calibration_error is None
    several = report.evaluate(pass_through(fn.BinaryCrossEntropy()), X, Y)
    assert several.accuracy == pytest.approx(0.6)
    assert several.loss > 0
    one = fn.Sequential([fn.Dense(1, 1)], (1,), backend="numpy", class_names=["no", "yes"])
    one.layers[0].weights = [[1.0]]
    two = report.evaluate(one, [[-2.0], [1.0], [3.0]], [0, 0, 1])
    assert two.confusion.tolist() == [[1, 1], [0, 1]]
    assert two.worst[0] == WorstSample(1, "no", "yes", pytest.approx(0.7310586), pytest.approx(0.2689414))


def test_many_classes_have_a_top_5():
    model = fn.Sequential([fn.Dense(12, 12)], (12,), backend="numpy")
    model.layers[0].weights = np.eye(12)
    x = np.tile(np.arange(12.0), (12, 1))
    found = report.evaluate(model, x, np.arange(12))
    assert found.top_5_accuracy == pytest.approx(5 / 12)
    assert "true class among the 5 likeliest: 41.67%" in found.markdown()


def test_page_and_json():
    found = report.evaluate(pass_through(fn.SoftmaxCrossEntropy(), ["a|b", "b", "c"]), X, Y)
    page = found.markdown("A title", ["top_losses.png"])
    assert page.startswith("# A title\n\n- samples: 5\n")
    for line in (
        "- accuracy: 60.00%",
        "| a\\|b | 66.67% | 100.00% | 80.00% | 2 |",
        "| *mean* | 38.89% | 50.00% | 43.33% | 5 |",
        "| c | b | 1 | 100.00% |",
        "| 3 | c | 5.00% | b | 85.00% |",
        "![top losses](top_losses.png)",
    ):
        assert line in page.splitlines()
    document = json.loads(json.dumps(found.to_dict()))
    assert document["classes"][1] == {"name": "b", "precision": 0.5, "recall": 0.5, "f1": 0.5, "samples": 2}
    assert document["confusion"] == found.confusion.tolist()
    assert document["worst"][0]["row"] == 3
    assert not {"labels", "probabilities"} & document.keys()
    right = report.evaluate(pass_through(fn.SoftmaxCrossEntropy()), X[:2], Y[:2]).markdown()
    assert "## Most confused" not in right
    assert "## Worst errors" not in right


def test_the_folder(tmp_path):
    pytest.importorskip("matplotlib")
    model = pass_through(fn.SoftmaxCrossEntropy())
    folder = tmp_path / "new" / "report"
    for history, more in ((None, []), (ROWS, ["curves.png"])):
        found = report.evaluate(model, X, Y)
        assert found.write(folder, model, X, history=history) == []
        assert sorted(path.name for path in folder.iterdir()) == sorted([*PICTURES, *more, "report.json", "report.md"])
        assert (folder / "report.md").read_text() == found.markdown(pictures=[*more, "confusion.png", "top_losses.png",
                                                                              "filters.png"])  # fmt: skip
        assert json.loads((folder / "report.json").read_text()) == found.to_dict()


def test_the_pictures_of_a_training(tmp_path):
    pytest.importorskip("matplotlib")
    model = pass_through(fn.SoftmaxCrossEntropy())
    assert report.write_pictures(tmp_path, model, ROWS, X, Y, best=1) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusion.png", "curves.png", *PICTURES[1:]]
    with pytest.raises(ValueError, match=r"^report.evaluate: y must be class numbers in 0\.\.2, got 9 in row 0$"):
        report.evaluate(model, X, Y * 0 + 9)


def test_a_picture_that_a_model_has_none_of_is_left_out(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "confusion.png").write_text("of another model")
    values = fn.Sequential([fn.Dense(3, 1)], (3,), backend="numpy")
    values.compile(loss=fn.MeanSquaredError())
    left_out = report.write_pictures(tmp_path, values, ROWS, X, Y)
    why = "report.evaluate: model must have an output of shape (C,), C >= 2, got (1,)"
    assert left_out == [f"without confusion.png: {why}", f"without top_losses.png: {why}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "filters.png"]
    empty = fn.Sequential([fn.ReLU()], (3,), backend="numpy")
    assert report.write_pictures(tmp_path, empty, None, X, Y) == [
        "without filters.png: plots.filters: model must have a Dense or Conv2D layer, got none"
    ]


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    (tmp_path / "confusion.png").write_text("of another model")
    model = pass_through(fn.SoftmaxCrossEntropy())
    install = "matplotlib is not installed (pip install 'fastnn[plot]')"
    left_out = report.write_pictures(tmp_path, model, ROWS, X, Y)
    assert left_out == [f"without curves.png, confusion.png, top_losses.png, filters.png: {install}"]
    assert report.evaluate(model, X, Y).write(tmp_path, model, X) == [
        f"without confusion.png, top_losses.png, filters.png: {install}"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]
    assert "![" not in (tmp_path / "report.md").read_text()


def test_history_is_read_back(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss,accuracy\n1,1.0,0.5\n2,0.5,0.75\n")
    assert report.read_history(path) == ROWS
    for text in ("epoch,loss\n1,low\n", "epoch,loss\n1\n", "epoch,loss\n1,2,3\n", "\x00"):
        path.write_text(text)
        with pytest.raises(fn.DataError, match=r"history\.csv: no history: "):
            report.read_history(path)
    with pytest.raises(fn.DataError, match=r"nowhere\.csv: cannot be read: No such file"):
        report.read_history(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": Y[:4]}, ValueError, r"Sequential: y must have shape \(5,\) or \(5, 3\), got \(4,\)"),
        ({"y": [0, 1, 2, 3, 0]}, ValueError, r"report.evaluate: y must be class numbers in 0\.\.2, got 3 in row 3"),
        ({"y": np.ones((5, 3))}, ValueError, "report.evaluate: y must be one-hot"),
        ({"x": X[:, :2]}, ValueError, r"Sequential: x must have shape \(N, 3\), got \(5, 2\)"),
        ({"x": X * np.nan}, ValueError, "Sequential: x must be finite, got nan in row 0"),
        ({"top": 0}, ValueError, "report.evaluate: top must be >= 1, got 0"),
        ({"batch_size": 0}, ValueError, "Sequential: batch_size must be >= 1, got 0"),
    ],
)
def test_refusals(change, error, message):
    arguments = {"x": X, "y": Y} | change
    with pytest.raises(error, match=f"^{message}"):
        report.evaluate(pass_through(fn.SoftmaxCrossEntropy()), **arguments)


def test_a_model_without_a_shape_is_refused():
    with pytest.raises(RuntimeError, match="^Sequential: shapes are not known yet"):
        report.evaluate(fn.Sequential([fn.Dense(None, 3)], backend="numpy"), X, Y)
