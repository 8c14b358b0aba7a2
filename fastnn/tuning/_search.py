"""How the next trial's values are chosen. Imports Optuna: it is imported where a search begins."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from fastnn.tuning._axes import Axis, Choice
from fastnn.tuning.space import Point, Space

SLOT = "slot"  # what trials call theirs


def distribution(axis: Axis) -> BaseDistribution:
    """An axis as Optuna knows it."""
    if isinstance(axis, Choice):
        return CategoricalDistribution(axis.labels)
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), axis.log, int(axis.step or 1))
    return FloatDistribution(axis.low, axis.high, axis.log, axis.step)


def label(axis: Axis, value: Any) -> Any:
    """A value of an axis as the database has it."""
    return axis.labels[axis.values.index(value)] if isinstance(axis, Choice) else value


def value(axis: Axis, label: Any) -> Any:
    """A value of an axis, from the database."""
    return axis.values[axis.labels.index(label)] if isinstance(axis, Choice) else axis.rounded(label)


class Sampler(BaseSampler):  # type: ignore[misc]  # of a library that the type check does not read
    """Gives every trial a slot, 0, 1, 2, ..., and to every slot its own values.

    A slot belongs to one trial that counts, of whichever process; that of an interrupted trial is free again. A slot of
    a grid is a point of it; any other has a generator of its own, from seed and slot. So a search that was interrupted,
    or is shared, tries what it would have tried in one go, as far as no value depends on what was found in between.
    """

    def __init__(self, space: Space, search: str, seed: int) -> None:
        self.slot = 0
        self._kind, self._seed = {"random": RandomSampler, "tpe": TPESampler}.get(search), seed
        self._planned: Callable[[int], Point | None]
        if search == "grid":
            points = space.grid()
            self.slots: int | None = len(points)
            order = np.random.default_rng(seed).permutation(len(points))  # its first part is spread over the whole
            self._planned = lambda slot: points[order[slot % len(points)]]
        else:
            start = space.start()
            self.slots = None
            self._planned = lambda slot: start if slot == 0 else None
        self._axes = space.axes
        self._point: Point | None = None
        self._inner: Any = RandomSampler(seed=0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Take the lowest free slot."""
        taken: set[int] = set()
        for other in study.get_trials(deepcopy=False):
            if other.number < trial.number and other.state != TrialState.FAIL:
                taken.add(other.user_attrs.get(SLOT, _free(taken)))  # one that has just begun takes the next
        self.slot = _free(taken)
        self._point = self._planned(self.slot)
        if self._kind is not None:
            seed = np.random.SeedSequence((self._seed, self.slot)).generate_state(1)[0]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # experimental options
                self._inner = self._kind(seed=int(seed))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What the inner sampler chooses together: nothing where the point is planned."""
        if self._point is not None:
            return {}
        found: dict[str, BaseDistribution] = self._inner.infer_relative_search_space(study, trial)
        return found

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values that are chosen together."""
        if self._point is not None:
            return {}
        found: dict[str, Any] = self._inner.sample_relative(study, trial, search_space)
        return found

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The planned value, else one of the inner sampler's."""
        if self._point is not None:
            return label(self._axes[param_name], self._point[param_name])
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Let the inner sampler know."""
        self._inner.after_trial(study, trial, state, values)


def suggest(space: Space, trial: optuna.Trial) -> Point:
    """The point of a trial, written into the database."""

    def pick(name: str, axis: Axis) -> Any:
        kind = distribution(axis)
        if isinstance(axis, Choice):
            return value(axis, trial.suggest_categorical(name, list(axis.labels)))
        if isinstance(kind, IntDistribution):
            return trial.suggest_int(name, kind.low, kind.high, step=kind.step, log=kind.log)
        return value(axis, trial.suggest_float(name, axis.low, axis.high, step=axis.step, log=axis.log))

    return space.walk(pick)


def point(space: Space, params: Mapping[str, Any]) -> Point:
    """The point of a trial, from the database."""
    return {name: value(space.axes[name], each) for name, each in params.items() if name in space.axes}


def _free(taken: set[int]) -> int:
    return next(slot for slot in range(len(taken) + 1) if slot not in taken)
