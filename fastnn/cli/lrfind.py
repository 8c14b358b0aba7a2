"""`fastnn lrfind`: the learning rate that a network and its data ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastnn.cli import _options, _settings
from fastnn.cli._group import debug_option
from fastnn.cli.train import chosen

CURVE_FILE, PICTURE_FILE = "lrfind.csv", "lrfind.png"
_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command(cls=_settings.GroupedCommand, short_help="Suggest a learning rate.")
@click.option("--config", type=click.Path(path_type=Path), help="Network and data of this file, or of a run's folder.")
@click.option("--recipe", type=_options.recipe_type, help="Network and data of a recipe that `fastnn recipes` lists.")
@click.option("--start", type=_POSITIVE, default=1e-7, show_default=True, help="Lowest rate.")
@click.option("--end", type=_POSITIVE, default=10.0, show_default=True, help="Highest rate.")
@click.option("--steps", type=click.IntRange(min=10), default=100, show_default=True, help="Rates between them.")
@click.option("--out", type=_options.Folder, help="Where the results go. [default: runs/lrfind-DATASET-MODEL]")
@debug_option
@_settings.rate_test_options
def lrfind(
    config: Path | None, recipe: str | None, start: float, end: float, steps: int, out: Path | None, **flags: Any
) -> None:
    """Raise the learning rate step by step until the loss diverges, and suggest the rate where it fell most steeply.

    Writes the curve as lrfind.csv and lrfind.png. The suggestion is meant for `fastnn train --lr` with the same flags.
    """
    import numpy as np

    from fastnn import _files, plots
    from fastnn import run as runs
    from fastnn.cli._data import warnings_as_lines
    from fastnn.cli._run import prepare, title
    from fastnn.lr_finder import find_learning_rate

    if end <= start:
        raise click.UsageError(f"--end must be above --start, got {end:g} and {start:g}")
    settings = chosen(config, recipe, _settings.changes(flags))
    with warnings_as_lines():
        data = runs.load(settings)
    model = runs.build(settings, data)
    name = title(settings, recipe)
    out = Path("runs") / f"lrfind-{name}" if out is None else out
    out.mkdir(parents=True, exist_ok=True)
    prepare(settings.training.backend, settings.training.threads or None)
    batch_size = settings.training.batch_size * settings.training.accumulate  # of an update
    with np.errstate(over="ignore", invalid="ignore"):  # the end of the test is a divergence
        test = find_learning_rate(model, *data.training, start, end, steps, batch_size)
    _files.replace(out / CURVE_FILE, test.to_csv())
    try:
        plots.learning_rates(test, out / PICTURE_FILE)
    except ModuleNotFoundError as error:
        click.echo(f"without {PICTURE_FILE}: {error}")
    rate = test.suggestion
    found = "the loss falls at none of these rates" if rate is None else f"suggested learning rate: --lr {rate:.2g}"
    click.echo(f"{name} with {settings.optimizer.name}: {found}, written to {out}")
