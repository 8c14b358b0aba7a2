"""A process' part in a study: trial after trial, until there are enough. Imports Optuna."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import optuna

from fastnn import run
from fastnn.callbacks import Callback
from fastnn.errors import DivergenceError
from fastnn.tuning import _files, _search, _storage
from fastnn.tuning._study import Study, Trial, TrialCallback
from fastnn.tuning.space import Point, Space

_USUAL_TRIALS = 20
# A trial is judged after this share of its epochs, beside at least so many complete ones: below so many percent of what
# those had by then it is given up. A quarter after a quarter: the median loses the best trial more often, because a
# one-cycle schedule is bad in its middle (docs/tuning.md has the numbers). Not hyperband: it cuts the trials into
# brackets, and wants some ten in each before it can choose.
_UNJUDGED, _JUDGES, _GIVEN_UP = 1 / 4, 5, 25.0


@dataclass(frozen=True)
class Place:
    """Where a study is: the folder of its files, the URL of its storage, its name there."""

    folder: Path | None
    storage: str | None
    name: str

    @property
    def url(self) -> str | None:
        """The storage; the folder has one where nothing else is said."""
        if self.storage is None and self.folder is not None:
            return f"sqlite:///{self.folder / _files.STUDY_FILE}"
        return self.storage


def work(
    space: Space,
    data: run.Data,
    search: str,
    prune: bool,
    place: Place,
    callbacks: Sequence[TrialCallback],
    trials: int | None,
    timeout: float | None,
) -> Study:
    """See `tune`."""
    sampler = _search.Sampler(space, search, space.settings.training.seed)
    unjudged = max(1, round(space.settings.training.epochs * _UNJUDGED))
    judge = optuna.pruners.PercentilePruner(100 - _GIVEN_UP, n_startup_trials=_JUDGES, n_warmup_steps=unjudged)
    if place.folder is not None and place.storage is None:
        place.folder.mkdir(parents=True, exist_ok=True)
    with _storage.quiet(), _storage.reachable(place.url):
        pruner = judge if prune else optuna.pruners.NopPruner()
        study = _storage.study(place.url, place.name, sampler=sampler, pruner=pruner)
        _storage.agree(study, _storage.question(space, search, data), _storage.shown(place.url))
        if place.folder is not None:  # with a storage elsewhere: made once that can be reached
            place.folder.mkdir(parents=True, exist_ok=True)
        wanted = trials or sampler.slots or _USUAL_TRIALS
        if sampler.slots is not None:
            wanted = min(wanted, sampler.slots)
        return _Worker(study, sampler, space, data, callbacks, place.folder, wanted).run(timeout)


class _Surplus(Exception):
    """Another process has begun the last trial that was wanted."""


@dataclass
class _Worker:
    study: optuna.Study
    sampler: _search.Sampler
    space: Space
    data: run.Data
    callbacks: Sequence[TrialCallback]
    folder: Path | None
    wanted: int

    def run(self, timeout: float | None) -> Study:
        """Trials until there are enough, or until the time is over."""
        began = time.monotonic()
        _storage.release(self.study)
        found = self.found()
        for callback in self.callbacks:
            callback.on_study_begin(found, self.wanted)
        try:
            while sum(trial.counts for trial in found.trials) < self.wanted:
                if timeout is not None and time.monotonic() - began >= timeout:
                    break
                self.study.optimize(self.objective, n_trials=1, catch=(_Surplus,), callbacks=[self.ended])
                found = self.found()
        finally:
            found = self.found()
            if self.folder is not None:
                _files.write(found, self.folder)
                with suppress(ModuleNotFoundError):  # without matplotlib
                    _files.draw(found, self.folder)
        return found

    def objective(self, trial: optuna.Trial) -> float:
        """The validation accuracy that a trial reaches; TrialPruned where it does not get to its end."""
        slot = self.sampler.slot
        if slot >= self.wanted:
            raise _Surplus
        trial.set_user_attr(_search.SLOT, slot)
        point = _search.suggest(self.space, trial)
        report = _Report(trial, point, self.callbacks)
        try:
            done = run.train(self.space.apply(point), data=self.data, callbacks=[report], verbose=False)
        except DivergenceError as error:
            raise _given_up(trial, "diverged", str(error).partition("; ")[0].removeprefix("Sequential: ")) from error
        except (ValueError, MemoryError) as error:
            raise _given_up(trial, "failed", str(error) or "out of memory") from error
        row = done.history.rows()[done.best_epoch - 1]
        trial.set_user_attr(
            _storage.RESULT,
            {"epoch": done.best_epoch, "loss": row["val_loss"], "test_accuracy": done.accuracy,
             "parameters": done.model.parameters.size},
        )  # fmt: skip
        return row["val_accuracy"]

    def ended(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        """Write what there is to write after a trial."""
        if _search.SLOT not in trial.user_attrs:
            return  # surplus
        found = self.found()
        if self.folder is not None:
            _files.write(found, self.folder)
        for callback in self.callbacks:
            callback.on_trial_end(found, found.trials[trial.number])

    def found(self) -> Study:
        """All trials, of whatever process."""
        return Study(self.space, _storage.trials(self.study, self.space), self.folder)


class _Report(Callback):
    """Tells the study what an epoch has reached, and ends the training where that is not enough."""

    def __init__(self, study_trial: optuna.Trial, point: Point, callbacks: Sequence[TrialCallback]) -> None:
        self._study_trial, self._callbacks = study_trial, callbacks
        self._epochs = 0
        self.trial = Trial(study_trial.number, "running", point)

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Show the trial."""
        self._epochs = int(logs["epochs"])
        self.trial = replace(self.trial, parameters=self.model.parameters.size)
        for callback in self._callbacks:
            callback.on_trial_begin(self.trial)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Report; raise TrialPruned where others were better by now."""
        before, reached = self.trial, logs["val_accuracy"]
        self.trial = replace(before, epochs=epoch + 1, seconds=before.seconds + logs["seconds"])
        if before.accuracy is None or reached > before.accuracy:
            self.trial = replace(self.trial, accuracy=reached, loss=logs["val_loss"], epoch=epoch + 1)
        self._study_trial.report(reached, epoch)
        for callback in self._callbacks:
            callback.on_epoch_end(self.trial)
        if epoch + 1 < self._epochs and self._study_trial.should_prune():
            reason = f"in the lowest quarter after epoch {epoch + 1} of {self._epochs}"
            raise _given_up(self._study_trial, "pruned", reason)


def _given_up(trial: optuna.Trial, outcome: str, reason: str) -> optuna.TrialPruned:
    """Write down why; returns what to raise. The sampler learns from such a trial as from a bad one."""
    trial.set_user_attr(_storage.OUTCOME, outcome)
    trial.set_user_attr(_storage.REASON, " ".join(reason.split()))
    return optuna.TrialPruned(reason)
