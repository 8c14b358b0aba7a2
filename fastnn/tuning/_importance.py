"""Which searched settings mattered."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from fastnn.tuning._search import distribution, label
from fastnn.tuning._study import Trial
from fastnn.tuning.space import Space

_FEWEST = 10  # trials that something can be said of
_TOP = 5  # good trials, if there are that many, that are compared with all


def importance(space: Space, trials: Sequence[Trial]) -> dict[str, float]:
    """See `Study.importance`. Pruned and diverged trials count as bad ones with what they had reached."""
    import optuna

    known = [trial for trial in trials if trial.state in ("complete", "pruned", "diverged") and trial.point]
    best = max((trial.accuracy or 0.0 for trial in known if trial.state == "complete"), default=0.0)
    if len(known) < _FEWEST or all((trial.accuracy or 0.0) == best for trial in known):
        return {}
    study = optuna.create_study(direction="maximize", storage=optuna.storages.InMemoryStorage())
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: label(space.axes[name], value) for name, value in trial.point.items()},
                distributions={name: distribution(space.axes[name]) for name in trial.point},
                value=(trial.accuracy or 0.0) - (trial.state != "complete"),
            )
            for trial in known
        ]
    )
    share = min(max(0.1, _TOP / len(known)), 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is said of Study.importance
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=share)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return dict(sorted(found.items(), key=lambda item: -item[1]))
