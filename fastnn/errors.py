"""Errors that have a name of their own. Everything else is a plain TypeError, ValueError or RuntimeError."""

from __future__ import annotations


class DataError(ValueError):
    """A data file or folder is missing, damaged or not what its name says."""


class ImageError(ValueError):
    """An image file cannot be read as an image."""


class CheckpointError(ValueError):
    """A model file is missing, damaged, foreign, or written by a newer format version."""


class SettingsError(ValueError):
    """A settings file is missing, damaged, or says what cannot be."""


class DivergenceError(RuntimeError):
    """The loss became NaN or infinite. `fit` has put the last good weights back before it raises this.

    epoch and batch count from 1; batch is None when the validation loss was the one that diverged.
    """

    def __init__(self, message: str, epoch: int | None = None, batch: int | None = None) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.batch = batch
