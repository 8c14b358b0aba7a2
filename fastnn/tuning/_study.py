"""What a search has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fastnn.settings import Settings
from fastnn.tuning.space import Space

State = Literal["complete", "pruned", "diverged", "failed", "running", "interrupted"]


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    number: from 0. state: "complete"; "pruned": stopped, others were better by then; "diverged": its loss was no number
    any more; "failed": its settings cannot be; "running"; "interrupted": it counts for nothing and is made up for.
    reason says why in one line, where it is not complete. point: the searched settings by name.

    accuracy, loss: on the validation images, of the best epoch so far, from 1; None before the first. epochs: how many
    it has done. parameters: of the network. test_accuracy: of the best epoch's weights; it decides nothing. What only
    complete trials have is None in others.
    """

    number: int
    state: State
    point: Mapping[str, Any]
    accuracy: float | None = None
    loss: float | None = None
    epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    parameters: int | None = None
    test_accuracy: float | None = None
    reason: str = ""

    @property
    def counts(self) -> bool:
        """Whether it is one of those that were asked for."""
        return self.state != "interrupted"


@dataclass(frozen=True)
class Study:
    """All trials so far, of this process and of every other one. folder: where the files are, None without any."""

    space: Space
    trials: tuple[Trial, ...]
    folder: Path | None = None

    @property
    def complete(self) -> tuple[Trial, ...]:
        """The complete trials, best first: highest validation accuracy, then lowest validation loss, then the first."""
        done = [trial for trial in self.trials if trial.state == "complete"]
        return tuple(sorted(done, key=lambda trial: (-(trial.accuracy or 0), trial.loss or 0, trial.number)))

    @property
    def best(self) -> Trial:
        """The best complete trial. Raises RuntimeError that says why there is none."""
        if complete := self.complete:
            return complete[0]
        reasons = [trial for trial in self.trials if trial.state in ("diverged", "failed")]
        why = f"; trial {reasons[-1].number} {reasons[-1].state}: {reasons[-1].reason}" if reasons else ""
        raise RuntimeError(f"tune: no trial is complete{why}")

    @property
    def best_settings(self) -> Settings:
        """The settings of the best trial: `fastnn.train` repeats it bit for bit."""
        return self.settings_of(self.best)

    def settings_of(self, trial: Trial) -> Settings:
        """All settings of a trial."""
        return self.space.apply(trial.point)

    def importance(self) -> dict[str, float]:
        """How much each name of the space decided which trials were good, most first: shares that add up to 1.

        By PED-ANOVA (Watanabe, Bansal & Hutter 2023, arXiv:2304.10255): how far the values of the best trials differ
        from those of all. Empty where there are too few trials to say.
        """
        from fastnn.tuning._importance import importance

        return importance(self.space, self.trials)


class TrialCallback:
    """Base class of what looks on: override the hooks that you need."""

    def on_study_begin(self, study: Study, trials: int) -> None:
        """Called once, with the trials that there are already, and how many there shall be."""

    def on_trial_begin(self, trial: Trial) -> None:
        """Called before a trial of this process is trained."""

    def on_epoch_end(self, trial: Trial) -> None:
        """Called after each of its epochs."""

    def on_trial_end(self, study: Study, trial: Trial) -> None:
        """Called after a trial of this process, whatever became of it."""
