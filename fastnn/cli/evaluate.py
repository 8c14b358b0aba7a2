"""`fastnn evaluate`: how right a trained model is on a data set's test images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from fastnn.cli import _options
from fastnn.cli._group import debug_option


@click.command(short_help="Test a trained network.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--dataset", type=_options.dataset_type, help="Where to test it. [default: what it was trained on]"
)
@_options.data_dir
@click.option("--batch-size", type=click.IntRange(min=1), default=256, help="Images at once.")
@_options.threads
@_options.backend
@debug_option
def evaluate(
    model: Path,
    dataset: str | None,
    data_dir: Path | None,
    batch_size: int,
    threads: int | None,
    backend: Literal["numba", "numpy"],
) -> None:
    """Show loss and accuracy of MODEL, a model file or the folder of a run, on the test images."""
    from fastnn import datasets
    from fastnn.cli._run import MODEL_FILE, prepare
    from fastnn.formats.checkpoint import load

    network = load(model / MODEL_FILE if model.is_dir() else model, backend=backend)
    dataset = dataset or network.metadata.get("dataset")
    if dataset is None:
        raise click.UsageError(f"{model} does not say what it was trained on: add --dataset")
    _, (x, y) = datasets.load(dataset, data_dir)
    prepare(backend, threads)
    loss, accuracy = network.evaluate(x, y, batch_size=batch_size)
    click.echo(f"{len(x):,} test images of {dataset}: loss {loss:.4f}, accuracy {accuracy:.2%}")
