"""`fastnn train`: train one of the recipes on a data set and write the model and its history."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Literal

import click

from fastnn.cli import _options
from fastnn.cli._group import debug_option


def _recipe_names() -> Sequence[str]:
    from fastnn.recipes import RECIPES

    return tuple(RECIPES)


def _optimizer_names() -> Sequence[str]:
    from fastnn.recipes import OPTIMIZERS

    return tuple(OPTIMIZERS)


recipe_type = _options.LazyChoice(_recipe_names)
optimizer_type = _options.LazyChoice(_optimizer_names)


@click.command(short_help="Train a network.")
@click.option("--dataset", type=_options.dataset_type, default="digits", show_default=True, help="The data.")
@_options.data_dir
@click.option("--model", type=recipe_type, default="cnn", show_default=True, help="The network.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training images.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images per step.")
@click.option("--optimizer", type=optimizer_type, help="How the weights follow the gradient.")
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), help="Highest learning rate of the cycle.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same run.")
@_options.threads
@_options.backend
@click.option("--out", type=_options.Folder, help="Where the results go. [default: runs/DATASET-MODEL-N]")
@debug_option
def train(
    dataset: str,
    data_dir: Path | None,
    model: str,
    epochs: int | None,
    batch_size: int | None,
    optimizer: str | None,
    lr: float | None,
    seed: int,
    threads: int | None,
    backend: Literal["numba", "numpy"],
    out: Path | None,
) -> None:
    """Train a network and write model.safetensors and history.csv.

    Epochs, batch size, optimizer and learning rate have defaults of their own for each model.
    """
    import numpy as np

    from fastnn import datasets, recipes
    from fastnn.cli._progress import progress
    from fastnn.cli._run import RunFolder, prepare

    (x, y), (x_test, y_test) = datasets.load(dataset, data_dir)
    classes = datasets.class_names(dataset)
    recipe = recipes.RECIPES[model]
    epochs = epochs or recipe.epochs
    batch_size = batch_size or recipe.batch_size
    network = recipe.build(x.shape[1:], len(classes), backend=backend, seed=seed, class_names=classes)
    network.compile(recipe.make_optimizer(optimizer, lr))
    network.metadata.update(dataset=dataset, recipe=model)

    out = _new_folder(dataset, model) if out is None else out
    run = RunFolder(out)
    click.echo(
        f"{model} on {dataset}: {len(x):,} training and {len(x_test):,} test images, "
        f"{network.parameters.size:,} parameters, {epochs} epochs, batch {batch_size}"
    )
    prepare(backend, threads)
    # A divergence is reported as an error; NumPy need not warn of it as well.
    with progress() as shown, np.errstate(over="ignore", invalid="ignore"):
        network.fit(
            x, y, epochs=epochs, batch_size=batch_size, validation_data=(x_test, y_test),
            callbacks=[run, shown], verbose=False,
        )  # fmt: skip
    click.echo(f"test accuracy {run.rows[-1]['val_accuracy']:.2%}, written to {out}")


def _new_folder(dataset: str, model: str) -> Path:
    """Create runs/<dataset>-<model>-<n> with the first number that nobody has taken."""
    for n in count(1):
        folder = Path("runs") / f"{dataset}-{model}-{n}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("count() ends never")
