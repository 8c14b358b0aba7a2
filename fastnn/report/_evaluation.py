"""What a model gets right and wrong, measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _files, metrics
from fastnn._typing import Array, ArrayLike
from fastnn.losses import BinaryCrossEntropy, MeanSquaredError
from fastnn.report._page import TOP, page
from fastnn.report._pictures import draw, model_pictures

if TYPE_CHECKING:
    from fastnn.model import Sequential

MARKDOWN_FILE, JSON_FILE = "report.md", "report.json"


@dataclass(frozen=True)
class ClassRow:
    """One class: see `metrics.ClassScores`; samples is its support."""

    name: str
    precision: float
    recall: float
    f1: float
    samples: int


@dataclass(frozen=True)
class ConfusedPair:
    """count samples of the class truth were taken for the class predicted: share of truth's samples, in 0..1."""

    truth: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class WorstSample:
    """A wrong prediction: its row in x, and the probabilities of the predicted and of the true class."""

    row: int
    truth: str
    predicted: str
    confidence: float
    truth_probability: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    loss: as `Sequential.evaluate` gives it. accuracy: share of samples whose likeliest class is the true one, in
    0..1. top_5_accuracy: None for 10 classes and fewer. calibration_error: see `metrics.expected_calibration_error`;
    None where the outputs are no probabilities. confusion: counts int64 (C, C), row = true class. confused: the most
    frequent errors. worst: the surest ones. labels (N,), probabilities (N, C): what all this is made from.
    """

    samples: int
    loss: float
    accuracy: float
    top_5_accuracy: float | None
    calibration_error: float | None
    classes: list[ClassRow]
    macro: metrics.Means
    weighted: metrics.Means
    confusion: Array
    confused: list[ConfusedPair]
    worst: list[WorstSample]
    labels: Array = field(repr=False)
    probabilities: Array = field(repr=False)

    @property
    def class_names(self) -> list[str]:
        """The names of classes 0, 1, ..."""
        return [row.name for row in self.classes]

    def to_dict(self) -> dict[str, Any]:
        """All but labels and probabilities as JSON values."""
        kept = {name: value for name, value in asdict(self).items() if name not in ("labels", "probabilities")}
        return kept | {"confusion": self.confusion.tolist()}

    def markdown(self, title: str = "Evaluation", pictures: Iterable[str] = ()) -> str:
        """A page: the numbers, a table of the classes, the most confused pairs, the worst errors, links to pictures."""
        return page(self, title, pictures)

    def write(
        self,
        folder: str | PathLike[str],
        model: Sequential,
        x: ArrayLike,
        *,
        history: Any = None,
        title: str = "Evaluation",
    ) -> list[str]:
        """Write report.json, confusion.png, top_losses.png, filters.png and report.md, which shows them, to folder.

        model, x: what `evaluate` was given. history: as for `plots.curves`, adds curves.png. The folder is made if it
        is not there, files of these names are replaced, each in one piece. Returns one line for what was left out:
        pictures without matplotlib, a picture that this model has none of.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written, left_out = draw(folder, model_pictures(model, history, x, lambda: self))
        _files.replace(folder / JSON_FILE, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
        _files.replace(folder / MARKDOWN_FILE, self.markdown(title, written))
        return left_out


def evaluate(model: Sequential, x: ArrayLike, y: ArrayLike, *, batch_size: int = 256, top: int = 10) -> Evaluation:
    """Evaluate a classifier on x (N, *input_shape) and y: class numbers (N,) or one-hot rows (N, C).

    The model's output must be (C,), C >= 2, or (1,) with BinaryCrossEntropy: two classes. top: how many confused pairs
    and worst samples are named. Raises ValueError for another model, and for data as `Sequential.evaluate` does.
    """
    own = "report.evaluate"
    _checks.integer(own, "top", top, 1)
    binary = isinstance(model.loss, BinaryCrossEntropy)
    pair = binary and model.output_shape == (1,)
    if not pair and (len(model.output_shape) != 1 or model.output_shape[0] < 2):
        raise ValueError(f"{own}: model must have an output of shape (C,), C >= 2, got {model.output_shape}")
    classes = 2 if pair else model.output_shape[0]
    labels = _checks.labels(own, "y", y, classes)
    loss, _ = model.evaluate(x, np.eye(classes)[labels] if binary and not pair else labels, batch_size)
    scores = model.predict_proba(x, batch_size)
    probabilities = np.concatenate([1 - scores, scores], axis=1) if pair else scores
    counts = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), classes)
    found = metrics.class_scores(counts)
    names = model.class_names or [str(number) for number in range(classes)]
    columns = (found.precision.tolist(), found.recall.tolist(), found.f1.tolist(), found.support.tolist())
    many = classes > 2 * TOP  # else it says little
    return Evaluation(
        samples=len(labels),
        loss=loss,
        accuracy=float(counts.trace() / counts.sum()),
        top_5_accuracy=metrics.top_k_accuracy(labels, probabilities, TOP) if many else None,
        calibration_error=None
        if isinstance(model.loss, MeanSquaredError)
        else metrics.expected_calibration_error(labels, probabilities),
        classes=[ClassRow(*row) for row in zip(names, *columns, strict=True)],
        macro=found.macro,
        weighted=found.weighted,
        confusion=counts,
        confused=[
            ConfusedPair(names[pair.truth], names[pair.predicted], pair.count, pair.share)
            for pair in metrics.most_confused(counts, top)
        ],
        worst=[_worst(row, labels, probabilities, names) for row in metrics.worst_errors(labels, probabilities, top)],
        labels=labels,
        probabilities=probabilities,
    )


def write_pictures(
    folder: str | PathLike[str],
    model: Sequential,
    history: Any,
    x: ArrayLike,
    y: ArrayLike,
    *,
    best: int | None = None,
) -> list[str]:
    """Write curves.png, confusion.png, top_losses.png and filters.png of a training to its folder.

    history, best: as for `plots.curves`; None leaves the curves out. x, y: what the model is tested on. Returns one
    line for what was left out, as `Evaluation.write` does.
    """
    found = cache(lambda: evaluate(model, x, y))
    return draw(Path(folder), model_pictures(model, history, x, found, best))[1]


def _worst(row: int, labels: Array, probabilities: Array, names: Sequence[str]) -> WorstSample:
    truth, predicted = int(labels[row]), int(probabilities[row].argmax())
    confidence, own = float(probabilities[row, predicted]), float(probabilities[row, truth])
    return WorstSample(int(row), names[truth], names[predicted], confidence, own)
