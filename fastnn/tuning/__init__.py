"""Search for better settings: many trainings, each with other values of some settings, judged by their validation
images. Extra `tune`: Optuna.

`tune` is what `fastnn tune` does, `Space` says which settings are searched, `Study` is what was found. The test images
decide nothing: a share of the training images is always kept for validation.
"""

from __future__ import annotations

from fastnn.tuning._defaults import default_space
from fastnn.tuning._study import Study, Trial, TrialCallback
from fastnn.tuning._tune import SEARCHES, prepared, require, tune
from fastnn.tuning.space import Axis, Choice, Range, Space

__all__ = [
    "SEARCHES", "Axis", "Choice", "Range", "Space", "Study", "Trial", "TrialCallback", "default_space", "prepared",
    "require", "tune",
]  # fmt: skip
