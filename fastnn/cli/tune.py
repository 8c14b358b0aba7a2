"""`fastnn tune`: search for better settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastnn.cli import _options, _settings
from fastnn.cli._group import debug_option
from fastnn.cli.train import chosen

if TYPE_CHECKING:
    from fastnn.run import Data
    from fastnn.settings import Settings
    from fastnn.tuning import Space, Study


@click.command(cls=_settings.GroupedCommand, short_help="Search for better settings.")
@click.option("--config", type=click.Path(path_type=Path), help="What is not searched is as in this file or run.")
@click.option("--recipe", type=_options.recipe_type, help="What is not searched is as in this recipe.")
@click.option("--space", "space_file", type=click.Path(path_type=Path), help="TOML file of what is searched.")
@click.option("--print-space", is_flag=True, help="Show what would be searched, as a file for --space, and stop.")
@click.option(
    "--search", type=click.Choice(["tpe", "random", "grid"]), default="tpe", show_default=True,
    help="How the next values are chosen.",
)  # fmt: skip
@click.option(
    "--trials", type=click.IntRange(min=1), help="Trials of the study in all. [default: 20, or the whole grid]"
)
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="After it no trial begins."
)
@click.option("--prune/--no-prune", default=True, help="Give trials up that fall behind. [default: prune]")
@click.option(
    "--storage", metavar="URL", envvar="FASTNN_STORAGE",
    help="Database that several machines share: postgresql://host/name, journal:FILE, ... [default: OUT/study.db]",
)  # fmt: skip
@click.option("--study", "name", default="tune", show_default=True, help="Name of the study in the storage.")
@click.option("--out", type=_options.Folder, help="Where the results go. [default: runs/tune-DATASET-MODEL]")
@debug_option
@_settings.settings_options
def tune(
    config: Path | None,
    recipe: str | None,
    space_file: Path | None,
    print_space: bool,
    search: str,
    trials: int | None,
    timeout: float | None,
    prune: bool,
    storage: str | None,
    name: str,
    out: Path | None,
    **flags: Any,
) -> None:
    """Train many times, with other settings each time, and keep those with the highest validation accuracy.

    Searched are learning rate, batch size, width, depth, optimizer, dropout and schedule, as far as no flag below says
    them, or what --space says. The test images decide nothing: a tenth of the training images validates, or the share
    of --validation-split. The same command goes on with a study that was interrupted.

    Results: study.db, trials.csv, history.png, importance.png, and best.toml, which `fastnn train --config` takes.
    """
    from fastnn import run as runs
    from fastnn import tuning
    from fastnn.cli._data import warnings_as_lines
    from fastnn.cli._run import prepare, title
    from fastnn.cli._trials import shown

    changes = _settings.changes(flags)
    settings = tuning.prepared(chosen(config, recipe, changes))
    space = _space(space_file, settings, changes)
    if print_space:
        click.echo(space.text(), nl=False)
        return
    tuning.require(storage)
    with warnings_as_lines():
        data = runs.load(settings)
    out = out or Path("runs") / f"tune-{title(settings, None)}"
    click.echo(_announcement(space, data, search))
    prepare(settings.training.backend, None)
    try:
        with shown() as looks_on:
            study = tuning.tune(
                settings, space, trials=trials, search=search, timeout=timeout, prune=prune, out=out, storage=storage,
                name=name, data=data, callbacks=[looks_on],
            )  # fmt: skip
    except KeyboardInterrupt:
        click.echo(f"{out} has what was reached; the same command goes on from there")
        raise
    _conclude(study, out, storage)


def _space(path: Path | None, settings: Settings, changes: dict[str, Any]) -> Space:
    from fastnn import tuning

    if path is None:
        return tuning.default_space(settings, changes)
    space = tuning.Space.read(path, settings)
    for name in space.axes:
        setting = space.column(name)
        same = ("network.hidden", "network.channels") if setting in ("network.width", "network.depth") else (setting,)
        for fixed in same:
            if fixed in changes:
                raise click.UsageError(f"{_settings.FLAGS[fixed][0]} fixes what {path} searches: {name}")
    return space


def _announcement(space: Space, data: Data, search: str) -> str:
    from fastnn.tuning._files import title

    settings = space.settings
    assert data.validation is not None
    epochs = settings.training.epochs
    searched = dict.fromkeys(title(space.column(name)) for name in space.axes)
    return (
        f"{settings.network.name} on {settings.data.dataset}: {len(data.training[0]):,} training and "
        f"{len(data.validation[0]):,} validation {data.things}, "
        f"{epochs} epoch{'s' * (epochs > 1)} a trial; {search} over {', '.join(searched)}"
    )


def _conclude(study: Study, out: Path, storage: str | None) -> None:
    from fastnn import plots
    from fastnn.cli._trials import show_best
    from fastnn.tuning._files import BEST_FILE
    from fastnn.tuning._storage import JOURNAL

    best = study.best
    show_best(study)
    running = sum(trial.state == "running" for trial in study.trials)
    if running:
        lost = "the same command, a minute later, makes up for it"
        if storage is not None and storage.startswith(JOURNAL):
            lost = "a journal does not know; then --trials has to ask for one more"
        click.echo(f"{running} still in training elsewhere, or its process has died: {lost}")
    ended = sum(trial.counts for trial in study.trials) - running
    click.echo(
        f"best of {ended} trial{'s' * (ended > 1)}: {best.number}, "
        f"validation accuracy {best.accuracy:.2%} in epoch {best.epoch}, test accuracy {best.test_accuracy:.2%}"
    )
    try:
        plots.require()
    except ModuleNotFoundError as error:
        click.echo(f"without pictures: {error}")
    click.echo(f"written to {out}; fastnn train --config {out / BEST_FILE} trains it again")
