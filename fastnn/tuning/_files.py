"""The files of a study: trials.csv, best.toml, and the pictures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from fastnn import _files
from fastnn.tuning._study import Study, Trial

STUDY_FILE, TRIALS_FILE, BEST_FILE = "study.db", "trials.csv", "best.toml"
HISTORY_FILE, IMPORTANCE_FILE = "history.png", "importance.png"


def columns(study: Study) -> list[str]:
    """The searched settings, each once."""
    return list(dict.fromkeys(study.space.column(name) for name in study.space.axes))


def values(study: Study, trial: Trial) -> dict[str, Any]:
    """What a trial has in these columns; what does not count in it is absent."""
    return {study.space.column(name): value for name, value in trial.point.items()}


def write(study: Study, folder: Path) -> None:
    """Write trials.csv and, where a trial is complete, best.toml."""
    text = io.StringIO()
    heads = ["trial", "state", "val_accuracy", "val_loss", "best_epoch", "epochs", "seconds", "parameters"]
    table = csv.DictWriter(text, [*heads, *columns(study), "reason"], restval="", lineterminator="\n")
    table.writeheader()
    for trial in study.trials:
        own = (trial.number, trial.state, trial.accuracy, trial.loss, trial.epoch, trial.epochs,
               round(trial.seconds, 3), trial.parameters)  # fmt: skip
        point = {key: json.dumps(v) if isinstance(v, tuple) else v for key, v in values(study, trial).items()}
        table.writerow({**dict(zip(heads, own, strict=True)), **point, "reason": trial.reason})
    _files.replace(folder / TRIALS_FILE, text.getvalue())
    if study.complete:
        study.best_settings.write(folder / BEST_FILE)


def draw(study: Study, folder: Path) -> list[str]:
    """Write history.png and importance.png; returns the names of the files. Raises as `plots.require` says."""
    from fastnn import plots

    written = []
    if any(trial.accuracy is not None for trial in study.trials):
        rows = [(trial.number, trial.state, trial.accuracy) for trial in study.trials]
        plots.trials(rows, folder / HISTORY_FILE, best=study.best.number if study.complete else None)
        written.append(HISTORY_FILE)
    if shares := study.importance():
        plots.importance({title(name): share for name, share in shares.items()}, folder / IMPORTANCE_FILE)
        written.append(IMPORTANCE_FILE)
    return written


def title(name: str) -> str:
    """A name of a space in words: "optimizer", "batch size", "learning rate (sgd)"."""
    table, _, rest = name.partition(".")
    option, dot, key = rest.rpartition(".")
    words = (table if key == "name" else key).replace("_", " ")
    return f"{words} ({option})" if dot else words
