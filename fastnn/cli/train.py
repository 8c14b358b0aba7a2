"""`fastnn train`: train a network, by its name, by a recipe, or as a file says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastnn.cli import _options, _settings
from fastnn.cli._group import debug_option

if TYPE_CHECKING:
    from fastnn.callbacks import Callback
    from fastnn.settings import Settings


@click.command(cls=_settings.GroupedCommand, short_help="Train a network.")
@click.option("--config", type=click.Path(path_type=Path), help="Repeat what this file, or a run's folder, says.")
@click.option("--recipe", type=_options.recipe_type, help="Train by a recipe that `fastnn recipes` lists.")
@click.option("--out", type=_options.Folder, help="Where the results go. [default: runs/DATASET-MODEL-N]")
@click.option("--live-plot", is_flag=True, help="Draw the curves during the training: in a window, or as curves.png.")
@click.option("--tensorboard", type=_options.Folder, help="Folder for the curves as TensorBoard reads them.")
@click.option("--dry-run", is_flag=True, help="Two batches through everything; nothing is written.")
@debug_option
@_settings.settings_options
def train(
    config: Path | None,
    recipe: str | None,
    out: Path | None,
    live_plot: bool,
    tensorboard: Path | None,
    dry_run: bool,
    **flags: Any,
) -> None:
    """Train a network and write a folder: config.toml, history.csv, environment.json, model.safetensors (the best
    epoch's), last.safetensors, and pictures: curves, confusion, top losses, filters.

    What no flag says has a default that suits the model, or is as in --recipe or --config.
    """
    from fastnn import run as runs
    from fastnn.cli._data import warnings_as_lines
    from fastnn.cli._progress import progress
    from fastnn.cli._run import Announcement, run_folder, title

    settings = chosen(config, recipe, _settings.changes(flags))
    if dry_run:
        _check_writable(out or Path("runs"))
        with warnings_as_lines():
            done = runs.try_out(settings)
        click.echo(
            f"dry run: two batches of {settings.training.batch_size} went through data, step, validation and files; "
            f"{done.model.parameters.size:,} parameters; nothing was written"
        )
        return
    watching = _watching(live_plot, tensorboard)
    with warnings_as_lines():
        data = runs.load(settings)
    with run_folder(out, title(settings, recipe)) as folder:
        try:
            with progress(data.validates) as shown:
                callbacks = [Announcement(settings, data), shown, *watching(folder)]
                done = runs.train(settings, folder, data=data, callbacks=callbacks, verbose=False)
        except KeyboardInterrupt:
            click.echo(f"{folder} has what was reached")
            raise
    for line in done.notes:
        click.echo(line)
    if len(done.history.loss) < settings.training.epochs:
        of = settings.stopping
        monitor = of.monitor.replace("val_", f"{data.validates} ")
        click.echo(f"stopped: no better {monitor} for {of.patience} epoch{'s' * (of.patience != 1)}")
    click.echo(
        f"test accuracy {done.accuracy:.2%} (epoch {done.best_epoch} of {len(done.history.loss)}, "
        f"the best on the {data.validates} {data.things}), written to {folder}"
    )


def _watching(live_plot: bool, tensorboard: Path | None) -> Callable[[Path], list[Callback]]:
    """What makes the callbacks for a folder. What they need is looked for now, before data are read."""
    from fastnn import plots
    from fastnn.callbacks import LivePlot, TensorBoard

    if live_plot:
        plots.require()
    logs = []
    if tensorboard is not None:
        _check_writable(tensorboard)
        logs = [TensorBoard(tensorboard)]
    return lambda out: [*([LivePlot(out / "curves.png")] if live_plot else []), *logs]


def chosen(config: Path | None, recipe: str | None, changes: dict[str, Any]) -> Settings:
    """The settings of a file, a recipe or a network's defaults, with what the flags change."""
    from fastnn import recipes
    from fastnn._folder import SETTINGS_FILE
    from fastnn.settings import Settings

    if config is not None and recipe is not None:
        raise click.UsageError("--config and --recipe exclude each other")
    if config is not None:
        settings = Settings.read(config / SETTINGS_FILE if config.is_dir() else config)
    elif recipe is not None:
        settings = recipes.load(recipe)
    else:
        settings = Settings.for_network(changes.get("network.name", "cnn"))
    return _settings.override(settings, changes)


def _check_writable(folder: Path) -> None:
    """PermissionError where the folder, or the first of its parents that there is, cannot be written."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise PermissionError(13, "Permission denied", str(there))
