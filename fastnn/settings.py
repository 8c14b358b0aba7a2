"""Everything that decides a training run, as one value: `Settings`.

Its tables and their keys are those of its TOML file; a dotted name such as "training.epochs" names one of them.
`fastnn._notes.NOTES` says what each means. Every value is checked, and brought to its type, when it is set. TypeError
and ValueError name the key: "Settings: training.epochs must be >= 1, got 0".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fastnn import __version__, _checks, _files, _toml, networks
from fastnn._data import DataSettings
from fastnn._notes import NOTES
from fastnn._tables import OWNER, Named, Table, keywords, setting, unknown
from fastnn._typing import Backend, Precision, Shape
from fastnn.errors import SettingsError
from fastnn.layers import Layer
from fastnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from fastnn.schedules import Constant, Cosine, Exponential, InverseTime, OneCycle, Schedule, Step, WarmUp

if TYPE_CHECKING:
    from typing_extensions import Self

_HEADING = f"""All settings of a training run, of fastnn {__version__}.
fastnn train --config FILE repeats it; flags beside --config change it."""

# By name: the constructor, and what settings take where its own defaults are not what trains well.
OPTIMIZERS: dict[str, tuple[type[Optimizer], dict[str, float]]] = {
    "sgd": (SGD, {"learning_rate": 0.05, "momentum": 0.9}),
    "rmsprop": (RMSprop, {"learning_rate": 0.001}),
    "adam": (Adam, {"learning_rate": 0.004}),
    "adamw": (AdamW, {"learning_rate": 0.002}),
}
SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "inverse-time": InverseTime,
    "exponential": Exponential,
    "step": Step,
    "cosine": Cosine,
    "one-cycle": OneCycle,
}
# Epochs and batch size that suit a network.
_USUAL_TRAINING = {"mlp": (20, 128), "cnn": (10, 64), "lenet5": (10, 64), "vgg": (20, 64), "resnet": (20, 64)}

_count = partial(_checks.integer, minimum=0)
_at_least_1 = partial(_checks.integer, minimum=1)
_not_negative = partial(_checks.number, minimum=0)


def _class_weights(owner: str, name: str, value: object) -> tuple[float, ...] | Literal["balanced"]:
    if value == "balanced":
        return "balanced"
    if not isinstance(value, tuple | list):
        raise TypeError(f'{owner}: {name} must be "balanced" or a list of numbers, got {value!r}')
    return tuple(_not_negative(owner, name, weight) for weight in value)


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
    """One of SCHEDULES and its keywords; warmup_steps go before it."""

    title: ClassVar[str] = "schedule"
    name: str = "one-cycle"

    @classmethod
    def names(cls) -> Iterable[str]:
        return SCHEDULES

    @classmethod
    def usual(cls, name: str) -> dict[str, Any]:
        own = keywords(SCHEDULES[name], "learning_rate", "total_steps", "steps_per_epoch")
        return {**own, "warmup_steps": 0}

    def check(self) -> None:
        self.make(1.0)

    def make(self, learning_rate: float) -> Schedule:
        """The schedule whose highest rate is learning_rate."""
        rest = dict(self.keywords)
        steps = _count(self.name, "warmup_steps", rest.pop("warmup_steps"))
        schedule = SCHEDULES[self.name](learning_rate, **rest)  # type: ignore[call-arg]  # each takes it first
        return WarmUp(schedule, steps) if steps else schedule


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
    seed: int = setting(0, _count)
    threads: int = setting(0, _count)
    backend: Backend = setting("numba", partial(_checks.choice, allowed=("numba", "numpy")))
    dtype: str = setting("float32", partial(_checks.choice, allowed=("float32", "float64")))
    precision: Precision = setting("full", partial(_checks.choice, allowed=("full", "bf16")))


@dataclass(frozen=True)
class Settings:
    """Everything that decides a training run: a value that never changes, equal to another of the same content."""

    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    clipping: ClippingSettings = field(default_factory=ClippingSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self) -> None:
        for key in fields(self):
            kind = TABLES[key.name]
            _checks.instance(OWNER, key.name, getattr(self, key.name), kind, f"of type {kind.__name__}")

    @classmethod
    def for_network(cls, name: str) -> Self:
        """What suits the network called name, one of `fastnn.networks.NETWORKS`, on most data."""
        network = NetworkSettings(name)
        epochs, batch_size = _USUAL_TRAINING[name]
        return cls(network=network, training=TrainingSettings(epochs=epochs, batch_size=batch_size))

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any]) -> Self:
        """From a dict of dicts, as `to_dict` gives it. What is absent has its default."""
        made: dict[str, Any] = {}
        for title, values in tables.items():
            if title not in TABLES:
                raise unknown(title, TABLES)
            _checks.instance(OWNER, title, values, Mapping, "a table")
            made[title] = TABLES[title].of(values)
        return cls(**made)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """All tables as a dict of dicts, with every value that holds."""
        return {key.name: getattr(self, key.name).items() for key in fields(self)}

    def override(self, changes: Mapping[str, Any]) -> Settings:
        """The same but for some values by dotted name: {"training.epochs": 3, "network.hidden": (64,)}.

        Where another network, optimizer or schedule is named, its table begins with the defaults of that one.
        """
        tables = self.to_dict()
        for name in sorted(changes, key=lambda name: not name.endswith(".name")):
            title, _, key = name.partition(".")
            if title not in tables:
                raise unknown(title, TABLES)
            if not key:
                raise ValueError(f"{OWNER}: {name} must name a key, such as training.epochs")
            if key == "name" and changes[name] != tables[title].get("name"):
                tables[title] = {}
            tables[title][key] = changes[name]
        return Settings.from_dict(tables)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """From a TOML file. Raises SettingsError, which names file and key."""
        tables = _toml.read(Path(path))
        try:
            return cls.from_dict(tables)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{path}: {str(error).removeprefix(f'{OWNER}: ')}") from error

    def write(self, path: str | PathLike[str]) -> None:
        """Write a TOML file with every value and what it means; OSError where that cannot be."""
        _files.replace(Path(path), self.text())

    def text(self) -> str:
        """The content of the file that `write` writes."""
        notes = dict(NOTES)
        for title in TABLES:
            if words := choices(title):
                notes[f"{title}.name"] = f"{NOTES[f'{title}.name'].rstrip('.')}: {', '.join(words)}."
        return _toml.text(_HEADING, self.to_dict(), notes)


TABLES: dict[str, type[Table] | type[Named]] = {
    kind.title: kind
    for kind in (
        DataSettings, NetworkSettings, OptimizerSettings, ScheduleSettings, ClippingSettings, LossSettings,
        TrainingSettings,
    )
}  # fmt: skip


def choices(title: str) -> tuple[str, ...]:
    """The words that `name` may be in a table; none where it has no name."""
    kind = TABLES[title]
    return tuple(kind.names()) if issubclass(kind, Named) else ()
