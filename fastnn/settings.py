"""Everything that decides a training run, as one value: `Settings`.

Its tables and their keys are those of its TOML file; a dotted name such as "training.epochs" names one of them.
`fastnn._notes.NOTES` says what each means. Every value is checked, and brought to its type, when it is set. TypeError
and ValueError name the key: "Settings: training.epochs must be >= 1, got 0".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn import __version__, _checks, _files, _toml
from fastnn._data import DataSettings
from fastnn._notes import NOTES
from fastnn._sections import (
    OPTIMIZERS,
    SCHEDULES,
    AugmentationSettings,
    ClippingSettings,
    LossSettings,
    NetworkSettings,
    OptimizerSettings,
    ScheduleSettings,
    StoppingSettings,
    TrainingSettings,
)
from fastnn._tables import OWNER, Named, Table, unknown
from fastnn.errors import SettingsError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "OPTIMIZERS", "SCHEDULES", "TABLES", "AugmentationSettings", "ClippingSettings", "DataSettings", "LossSettings",
    "NetworkSettings", "OptimizerSettings", "ScheduleSettings", "Settings", "StoppingSettings", "TrainingSettings",
    "choices",
]  # fmt: skip

_HEADING = f"""All settings of a training run, of fastnn {__version__}.
fastnn train --config FILE repeats it; flags beside --config change it."""

# Epochs and batch size that suit a network.
_USUAL_TRAINING = {"mlp": (20, 128), "cnn": (10, 64), "lenet5": (10, 64), "vgg": (20, 64), "resnet": (20, 64)}


@dataclass(frozen=True)
class Settings:
    """Everything that decides a training run: a value that never changes, equal to another of the same content."""

    data: DataSettings = field(default_factory=DataSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    clipping: ClippingSettings = field(default_factory=ClippingSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    stopping: StoppingSettings = field(default_factory=StoppingSettings)

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
        DataSettings, AugmentationSettings, NetworkSettings, OptimizerSettings, ScheduleSettings, ClippingSettings,
        LossSettings, TrainingSettings, StoppingSettings,
    )
}  # fmt: skip


def choices(title: str) -> tuple[str, ...]:
    """The words that `name` may be in a table; none where it has no name."""
    kind = TABLES[title]
    return tuple(kind.names()) if issubclass(kind, Named) else ()
