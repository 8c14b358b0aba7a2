"""Callbacks for `Sequential.fit`, with the names and arguments of Keras' own.

What they watch is called loss, accuracy, val_loss and val_accuracy. `_base.py` has the hooks, `_monitor.py` what all
share that wait for a number to get better.
"""

from __future__ import annotations

from fastnn.callbacks._base import Callback, overriding
from fastnn.callbacks.checkpoint import ModelCheckpoint
from fastnn.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from fastnn.callbacks.live_plot import LivePlot
from fastnn.callbacks.logger import CSVLogger, LambdaCallback
from fastnn.callbacks.stopping import EarlyStopping, TerminateOnNaN
from fastnn.callbacks.tensorboard import TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "LivePlot",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "overriding",
]
