"""The tables of `fastnn.settings.Settings` but for the data, each a class: its keys, and what is made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from fastnn import _checks, networks
from fastnn._tables import Named, Table, keywords, setting
from fastnn._typing import Backend, Precision, Shape
from fastnn.augment import Augmentation
from fastnn.callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from fastnn.layers import Layer
from fastnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from fastnn.schedules import Constant, Cosine, Exponential, InverseTime, OneCycle, Schedule, Step, WarmUp

# By name: the constructor, and what settings take where its own defaults are not what trains well.
OPTIMIZERS: dict[str, tuple[type[Optimizer], dict[str, float]]] = {
    "sgd": (SGD, {"learning_rate": 0.05, "momentum": 0.9}),
    "rmsprop": (RMSprop, {"learning_rate": 0.001}),
    "adam": (Adam, {"learning_rate": 0.004}),
    "adamw": (AdamW, {"learning_rate": 0.002}),
}
SCHEDULES: dict[str, type[Schedule] | type[ReduceLROnPlateau]] = {
    "constant": Constant,
    "inverse-time": InverseTime,
    "exponential": Exponential,
    "step": Step,
    "cosine": Cosine,
    "one-cycle": OneCycle,
    "plateau": ReduceLROnPlateau,
}
_PLATEAU = {"factor": 0.5, "patience": 2}  # a run has tens of epochs, not hundreds
_MONITORED = ("loss", "accuracy", "val_loss", "val_accuracy")

_count = partial(_checks.integer, minimum=0)
_at_least_1 = partial(_checks.integer, minimum=1)
_not_negative = partial(_checks.number, minimum=0)


def _class_weights(owner: str, name: str, value: object) -> tuple[float, ...] | Literal["balanced"]:
    if value == "balanced":
        return "balanced"
    if not isinstance(value, tuple | list):
        raise TypeError(f'{owner}: {name} must be "balanced" or a list of numbers, got {value!r}')
    return tuple(_not_negative(owner, name, weight) for weight in value)


def _augmented(owner: str, name: str, value: object) -> Any:
    """A keyword of Augmentation, as that takes it."""
    key = name.partition(".")[2]
    try:
        return getattr(Augmentation(**{key: value}), key)  # type: ignore[arg-type]  # that is what it checks
    except (TypeError, ValueError) as error:
        raise type(error)(f"{owner}: {name}{str(error).partition(key)[2]}") from error


@dataclass(frozen=True)
class AugmentationSettings(Table):
    """The keywords of `fastnn.Augmentation`; all 0 is none."""

    title: ClassVar[str] = "augmentation"
    shift: tuple[float, float] = setting((0.0, 0.0), _augmented)
    rotate: float = setting(0.0, _augmented)
    scale: float = setting(0.0, _augmented)
    shear: float = setting(0.0, _augmented)
    elastic: float | tuple[float, float] = setting(0.0, _augmented)
    flip: bool | str = setting(False, _augmented)
    crop: int = setting(0, _augmented)
    resize: float = setting(0.0, _augmented)
    cutout: int = setting(0, _augmented)
    mixup: float = setting(0.0, _augmented)
    border: str = setting("constant", _augmented)
    fill: float | tuple[float, ...] = setting(0.0, _augmented)

    def make(self, seed: int) -> Augmentation | None:
        """The augmentation; None where there is none."""
        made = Augmentation(**self.items(), seed=seed)
        return made if made.moves or made.cutout or made.mixup else None


@dataclass(frozen=True)
class NetworkSettings(Named):
    """One of `fastnn.networks.NETWORKS` and its keywords."""

    title: ClassVar[str] = "network"
    name: str = "cnn"

    @classmethod
    def names(cls) -> Iterable[str]:
        return networks.NETWORKS

    @classmethod
    def usual(cls, name: str) -> dict[str, Any]:
        return keywords(networks.NETWORKS[name], "input_shape", "classes")

    def check(self) -> None:
        self.layers((1024, 1024, 3), 2)  # an image that is too small for no network

    def layers(self, input_shape: Shape, classes: int) -> list[Layer]:
        """New layers for samples of input_shape."""
        return networks.NETWORKS[self.name](input_shape, classes, **self.keywords)


@dataclass(frozen=True)
class ScheduleSettings(Named):
    """One of SCHEDULES and its keywords; warmup_steps go before each that depends on the steps alone."""

    title: ClassVar[str] = "schedule"
    name: str = "one-cycle"

    @classmethod
    def names(cls) -> Iterable[str]:
        return SCHEDULES

    @classmethod
    def usual(cls, name: str) -> dict[str, Any]:
        kind = SCHEDULES[name]
        if issubclass(kind, Schedule):
            return {**keywords(kind, "learning_rate", "total_steps", "steps_per_epoch"), "warmup_steps": 0}
        return {**keywords(kind, "verbose", "mode"), **_PLATEAU}

    def check(self) -> None:
        self.make(1.0)
        if self.callbacks():
            _checks.choice(self.name, "monitor", self.keywords["monitor"], _MONITORED)

    def make(self, learning_rate: float) -> Schedule | float:
        """The schedule whose highest rate is learning_rate, or this rate where `callbacks` change it."""
        rest, kind = dict(self.keywords), SCHEDULES[self.name]
        if not issubclass(kind, Schedule):
            return learning_rate
        steps = _count(self.name, "warmup_steps", rest.pop("warmup_steps"))
        schedule = kind(learning_rate, **rest)  # type: ignore[call-arg]  # each takes it first
        return WarmUp(schedule, steps) if steps else schedule

    def callbacks(self) -> list[Callback]:
        """What changes the rate between epochs."""
        kind = SCHEDULES[self.name]
        return [] if issubclass(kind, Schedule) else [kind(**self.keywords)]


@dataclass(frozen=True)
class ClippingSettings(Table):
    """Bounds of the gradients; 0 is none."""

    title: ClassVar[str] = "clipping"
    value: float = setting(0.0, _not_negative)
    norm: float = setting(0.0, _not_negative)
    global_norm: float = setting(0.0, _not_negative)


@dataclass(frozen=True)
class OptimizerSettings(Named):
    """One of OPTIMIZERS and its keywords."""

    title: ClassVar[str] = "optimizer"
    name: str = "adam"

    @classmethod
    def names(cls) -> Iterable[str]:
        return OPTIMIZERS

    @classmethod
    def usual(cls, name: str) -> dict[str, Any]:
        kind, usual = OPTIMIZERS[name]
        return {**keywords(kind, "decay"), **usual}  # what decay does, a schedule does

    def check(self) -> None:
        _checks.number(self.name, "learning_rate", self.keywords["learning_rate"], above=0)
        self.make(ScheduleSettings("constant"), ClippingSettings())

    def make(self, schedule: ScheduleSettings, clipping: ClippingSettings) -> Optimizer:
        """The optimizer with its schedule."""
        rest = dict(self.keywords)
        rate = schedule.make(rest.pop("learning_rate"))
        clips: dict[str, Any] = {f"clip_{name}": bound or None for name, bound in clipping.items().items()}
        return OPTIMIZERS[self.name][0](rate, **rest, **clips)


@dataclass(frozen=True)
class LossSettings(Table):
    """Softmax cross-entropy's keywords. class_weights: one for each class, or "balanced"."""

    title: ClassVar[str] = "loss"
    label_smoothing: float = setting(0.0, partial(_checks.number, minimum=0, maximum=1))
    class_weights: tuple[float, ...] | Literal["balanced"] = setting((), _class_weights)


@dataclass(frozen=True)
class TrainingSettings(Table):
    """How long, in which pieces, on what."""

    title: ClassVar[str] = "training"
    epochs: int = setting(10, _at_least_1)
    batch_size: int = setting(64, _at_least_1)
    accumulate: int = setting(1, _at_least_1)
    seed: int = setting(0, _count)
    threads: int = setting(0, _count)
    backend: Backend = setting("numba", partial(_checks.choice, allowed=("numba", "numpy")))
    dtype: str = setting("float32", partial(_checks.choice, allowed=("float32", "float64")))
    precision: Precision = setting("full", partial(_checks.choice, allowed=("full", "bf16")))


@dataclass(frozen=True)
class StoppingSettings(Table):
    """When a training ends before its last epoch."""

    title: ClassVar[str] = "stopping"
    patience: int = setting(0, _count)
    monitor: str = setting("val_loss", partial(_checks.choice, allowed=_MONITORED))
    min_delta: float = setting(0.0, _not_negative)

    def callbacks(self) -> list[Callback]:
        """What ends it. The best weights are the run's to restore."""
        return [EarlyStopping(self.monitor, self.min_delta, self.patience)] if self.patience else []
