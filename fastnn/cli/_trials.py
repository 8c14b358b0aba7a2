"""How a search shows itself: a table that grows where there is a terminal, one plain line a trial everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from fastnn.tuning import Study, Trial, TrialCallback
from fastnn.tuning._files import columns, title, values

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDTH = 140  # of a table where there is no terminal
_FRAME = 6  # lines of a terminal that are not trials
_BEST = 10  # trials in the final table
_COLOURS = {"complete": "", "pruned": "dim", "diverged": "red", "failed": "red", "running": "cyan"}


@contextmanager
def shown() -> Iterator[TrialCallback]:
    """The callback to give to `tune`; the terminal is as it was when the context ends."""
    if not sys.stdout.isatty():
        yield TrialLines()
        return
    table = TrialTable()
    try:
        yield table
    finally:
        table.close()


class TrialLines(TrialCallback):
    """One line a trial."""

    _wanted = 0

    def on_study_begin(self, study: Study, trials: int) -> None:
        """Remember the size of the work."""
        self._wanted = trials

    def on_trial_end(self, study: Study, trial: Trial) -> None:
        """Write the trial's line."""
        known = sum(each.counts and each.state != "running" for each in study.trials)
        reached = "no epoch" if trial.accuracy is None else f"{trial.accuracy:.2%} in epoch {trial.epoch}"
        said = ", ".join(f"{title(name)} {_written(value)}" for name, value in values(study, trial).items())
        state = f"{trial.state} ({trial.reason})" if trial.reason else trial.state
        click.echo(f"{known}/{self._wanted}  trial {trial.number}  {reached}  {trial.seconds:.1f} s  {said}  {state}")


class TrialTable(TrialCallback):
    """The newest trials that fit the terminal, the best, and how far the present one is.

    It is drawn between epochs, without a thread of its own that would take time from the kernels.
    """

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(auto_refresh=False, transient=True)
        self._study: Study | None = None
        self._wanted = 0

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()

    def on_study_begin(self, study: Study, trials: int) -> None:
        """Show the trials that there are."""
        self._study, self._wanted = study, trials
        self._live.start()
        self._draw(None)

    def on_trial_begin(self, trial: Trial) -> None:
        """Show a new trial."""
        self._draw(trial)

    def on_epoch_end(self, trial: Trial) -> None:
        """Show what it has reached."""
        self._draw(trial)

    def on_trial_end(self, study: Study, trial: Trial) -> None:
        """Show what became of it."""
        self._study = study
        self._draw(None)

    def _draw(self, running: Trial | None) -> None:
        study = self._study
        assert study is not None
        own = None if running is None else running.number
        others = [trial for trial in study.trials if trial.counts and trial.number != own]
        best = study.complete[:1]
        room = max(3, self._live.console.height - _FRAME)
        newest = others[-room + len(best) + 1 :]
        rows = [*(trial for trial in best if trial not in newest), *newest, *([] if running is None else [running])]
        table = _table(study, rows)
        known = sum(trial.state != "running" for trial in others)
        table.title = f"{known} of {self._wanted} trial{'s' * (self._wanted > 1)}"
        self._live.update(table, refresh=True)


def show_best(study: Study) -> None:
    """Print the table of the best trials."""
    from rich.console import Console

    console = Console()
    table = _table(study, study.complete[:_BEST])
    table.title = "the best trials" if len(study.complete) > 1 else "the only complete trial"
    _wide(console).print(table)


def _wide(console: Console) -> Console:
    from rich.console import Console

    return console if console.is_terminal else Console(width=_WIDTH)


def _table(study: Study, trials: Sequence[Trial]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", title_style="bold")
    best = study.complete[0].number if study.complete else None
    for head in ("trial", "validation accuracy", "epoch", "seconds"):
        table.add_column(head, justify="right")
    for name in columns(study):
        table.add_column(title(name), justify="right", overflow="fold")
    table.add_column("state")
    for trial in trials:
        point = values(study, trial)
        table.add_row(
            Text(str(trial.number)),
            "-" if trial.accuracy is None else f"{trial.accuracy:.2%}",
            f"{trial.epoch or '-'} of {trial.epochs}",
            f"{trial.seconds:.1f}",
            *(Text(_written(point[name]) if name in point else "") for name in columns(study)),
            Text("best" if trial.number == best else trial.state),
            style="bold" if trial.number == best else _COLOURS[trial.state],
        )
    return table


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
