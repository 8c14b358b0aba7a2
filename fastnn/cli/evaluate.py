"""`fastnn evaluate`: how right a trained model is on the test part of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from fastnn.cli import _options
from fastnn.cli._group import debug_option

if TYPE_CHECKING:
    from rich.table import Table

    from fastnn.metrics import Means
    from fastnn.report import ClassRow, Evaluation

_MOST = 20  # classes in the table: of more, those with the lowest F1
_PAIRS = 3


@click.command(short_help="Test a trained network.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    type=_options.dataset_type,
    help="Where to test it: a name, a folder of images, an .npz or .csv file. [default: what it was trained on]",
)
@_options.data_dir
@_options.label_column
@click.option("--batch-size", type=click.IntRange(min=1), default=256, help="Samples at once.")
@click.option("--report", "folder", type=_options.Folder, help="Folder for report.md, report.json and pictures.")
@_options.threads
@_options.backend
@debug_option
def evaluate(
    model: Path,
    dataset: str | None,
    data_dir: Path | None,
    label_column: str | None,
    batch_size: int,
    folder: Path | None,
    threads: int | None,
    backend: Literal["numba", "numpy"],
) -> None:
    """Show loss and accuracy of MODEL, a model file or the folder of a run, on test data.

    These are the data's own test part (a folder test, x_test); what training left for the test where the model was
    trained on these data; and all of them otherwise. --report adds precision, recall and F1 of every class, the most
    confused classes, the worst errors and, for the folder of a run, the curves of its training.
    """
    from fastnn import datasets, report
    from fastnn.cli._data import warnings_as_lines
    from fastnn.cli._run import HISTORY_FILE, MODEL_FILE, prepare
    from fastnn.formats.checkpoint import load
    from fastnn.prediction import data_options

    network = load(model / MODEL_FILE if model.is_dir() else model, backend=backend)
    dataset = dataset or network.metadata.get("dataset")
    if dataset is None:
        raise click.UsageError(f"{model} does not say what it was trained on: add --dataset")
    options = data_options(network, dataset)
    if label_column is not None:
        options["label_column"] = label_column
    with warnings_as_lines():
        x, y = datasets.load_test(dataset, data_dir, **options).test
    prepare(backend, threads)
    found = None
    if folder is None:
        loss, accuracy = network.evaluate(x, y, batch_size=batch_size)
    else:
        found = report.evaluate(network, x, y, batch_size=batch_size)
        loss, accuracy = found.loss, found.accuracy
    things = "images" if x.ndim == 4 else "samples"
    click.echo(f"{len(x):,} test {things} of {dataset}: loss {loss:.4f}, accuracy {accuracy:.2%}")
    if found is None or folder is None:
        return
    history = model / HISTORY_FILE
    rows = report.read_history(history) if history.is_file() else None
    _show(found)
    for line in found.write(folder, network, x, history=rows, title=f"{model.name} on {dataset}"):
        click.echo(line)
    click.echo(f"written to {folder}")


def _show(found: Evaluation) -> None:
    from rich.console import Console

    Console().print(_table(found))
    pairs = [f"{pair.truth} as {pair.predicted} ({pair.count:,})" for pair in found.confused[:_PAIRS]]
    click.echo(f"most confused: {', '.join(pairs)}" if pairs else "no class was taken for another")


def _table(found: Evaluation) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table("class", box=box.SIMPLE_HEAD, header_style="bold")
    for title in ("precision", "recall", "F1", "images"):
        table.add_column(title, justify="right")
    classes = found.classes
    if len(classes) > _MOST:
        classes = sorted(classes, key=lambda row: row.f1)[:_MOST]
        table.title = f"the {_MOST} of {len(found.classes)} classes with the lowest F1"

    def add(name: str, row: ClassRow | Means, samples: int) -> None:
        table.add_row(Text(name), f"{row.precision:.2%}", f"{row.recall:.2%}", f"{row.f1:.2%}", f"{samples:,}")

    for row in classes:
        add(row.name, row, row.samples)
    table.add_section()
    add("mean", found.macro, found.samples)
    return table
