"""The door of the search: its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from fastnn import _checks, datasets, run
from fastnn.errors import DataError
from fastnn.settings import Settings
from fastnn.tuning._defaults import default_space
from fastnn.tuning._study import Study, TrialCallback
from fastnn.tuning.space import Space

SEARCHES = ("tpe", "random", "grid")
_OWN = "tune"
_VALIDATION = 0.1  # share of the training images, where the settings keep none for validation


def require(storage: str | None = None) -> None:
    """Raise ModuleNotFoundError that says what to install where Optuna, or a database's driver, is missing."""
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        message = "Optuna is not installed (pip install 'fastnn[tune]')"
        raise ModuleNotFoundError(message, name="optuna") from error
    if storage is not None:
        from fastnn.tuning import _storage

        _storage.check(storage)


def prepared(settings: Settings) -> Settings:
    """Settings that keep a share of the training images for validation: a tenth, unless they say which.

    A user's own data have a validation part, or their split makes one.
    """
    _checks.instance(_OWN, "settings", settings, Settings, "Settings")
    data = settings.data
    if data.validation_split or data.split or data.dataset not in datasets.NAMES:
        return settings
    return settings.override({"data.validation_split": _VALIDATION})


def tune(
    settings: Settings,
    space: Space | Mapping[str, Any] | None = None,
    *,
    trials: int | None = None,
    search: str = "tpe",
    timeout: float | None = None,
    prune: bool = True,
    out: str | PathLike[str] | None = None,
    storage: str | None = None,
    name: str = "tune",
    data: run.Data | None = None,
    callbacks: Sequence[TrialCallback] = (),
) -> Study:
    """Search for settings whose validation accuracy, of a training's best epoch, is highest.

    settings: what is not searched, the number of epochs and the seed among it. space: which settings are searched, by
    name, each a list of choices or a dict of low, high, log, step, see `Space`; None: `default_space`.

    trials: how many the study shall have in all, those of earlier calls and of other processes included; None: 20, or
    the whole grid. search: "tpe" (tree-structured Parzen estimators: learns from the trials before), "random", or
    "grid", all combinations in an order that spreads. The first trial of tpe and random is settings as they are, where
    the space has them. timeout: seconds after which no further trial begins. prune: give a trial up in which, after a
    quarter of its epochs, the best accuracy is in the lowest quarter of what the complete ones had by then.

    out: folder for study.db, trials.csv, best.toml, history.png and importance.png (the pictures need matplotlib); a
    study that is there already goes on. storage: a database instead of study.db, in which processes on several machines
    work on the study called name at once: "postgresql://...", "mysql://...", "sqlite:///file" on one machine, or
    "journal:file" on a file system that they share. Without both nothing is kept. data: what `run.load` returned for
    these settings. callbacks: see `TrialCallback`.

    Trials that diverge, or whose settings cannot be, count, with their reason. Ctrl-C keeps all that is complete. The
    same seed searches the same values, whether it is done in one go or continued.

    Raises ModuleNotFoundError without Optuna, ValueError and TypeError for wrong arguments and for a study of another
    question, ConnectionError for a storage that cannot be reached.
    """
    settings = prepared(settings)
    search = _checks.choice(_OWN, "search", search, SEARCHES)
    trials = _checks.optional_integer(_OWN, "trials", trials, 1)
    timeout = None if timeout is None else _checks.number(_OWN, "timeout", timeout, above=0)
    _checks.instance(_OWN, "name", name, str, "a text")
    if space is None:
        space = default_space(settings)
    space = Space(space.to_dict() if isinstance(space, Space) else space, settings)
    prune = _checks.flag(_OWN, "prune", prune)
    require(storage)
    data = run.load(settings) if data is None else data
    if data.validation is None:
        raise ValueError(f"{_OWN}: data must have a validation part (validation_split, --validation-split)")
    _refuse(settings, data)
    from fastnn.tuning import _worker

    place = _worker.Place(None if out is None else Path(out), storage, name)
    return _worker.work(space, data, search, prune, place, callbacks, trials, timeout)


def _refuse(settings: Settings, data: run.Data) -> None:
    """Raise DataError at once where no trial could do anything with the data."""
    try:
        run.build(settings, data)
    except DataError:
        raise
    except ValueError:
        return  # sizes that do not fit these images: others of the space may
