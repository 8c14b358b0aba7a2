"""Which settings a search tries, and in which values.

A name is that of a setting, "training.batch_size", or has the word between that the setting is for:
"optimizer.sgd.learning_rate" counts in trials of sgd alone. Two names more say the sizes of a network: "network.width"
and "network.depth", see `sizes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from fastnn import _checks, _toml
from fastnn._tables import unknown
from fastnn.errors import SettingsError
from fastnn.settings import TABLES, Settings, choices
from fastnn.tuning import _axes
from fastnn.tuning._axes import OWN, Axis, Choice, Range

__all__ = ["Axis", "Choice", "Point", "Range", "Space", "sizes"]

Point = dict[str, Any]  # a value for each name that counts

_MOST_GRID = 100_000
_SHAPE = ("network.width", "network.depth")
_FIXED = ("training.seed", "training.threads", "training.backend")
_NARROWEST = 8  # units of an mlp's last hidden layer


def sizes(network: str, width: int, depth: int) -> tuple[int, ...]:
    """Units of an mlp's depth hidden layers: width, half of it, a quarter, ..., at least 8 (or width, if that is less).
    Channels of depth stages of any other network: width, twice, four times it, ..."""
    if network == "mlp":
        return tuple(max(width >> i, min(width, _NARROWEST)) for i in range(depth))
    return tuple(width << i for i in range(depth))


@dataclass(frozen=True)
class _Name:
    """A name of a space: its table, the word it is for ("" if it is for all) and its key."""

    title: str
    option: str
    key: str

    @classmethod
    def of(cls, name: str) -> _Name:
        title, _, rest = name.partition(".")
        option, dot, key = rest.partition(".")
        return cls(title, option, key) if dot else cls(title, "", rest)

    @property
    def setting(self) -> str:
        """The dotted name of the setting."""
        return f"{self.title}.{self.key}".rstrip(".")


class Space:
    """Axes by name, on top of settings that say everything else.

    axes: for each name a list of choices, or a mapping of low, high and, if need be, log and step. A name that no
    setting has, a value that it cannot have, a range that is empty: TypeError or ValueError that names it.
    """

    def __init__(self, axes: Mapping[str, Any], settings: Settings) -> None:
        _checks.instance(OWN, "axes", axes, Mapping, "a mapping")
        _checks.instance(OWN, "settings", settings, Settings, "Settings")
        self.settings = settings
        found = {name: _axes.axis(name, value) for name, value in axes.items()}
        if not found:
            raise ValueError(f"{OWN}: axes must not be empty")
        for name in found:
            if _Name.of(name).title not in TABLES:
                raise _renamed(unknown(_Name.of(name).title, TABLES))
        # What chooses which other settings there are comes first.
        self.axes: dict[str, Axis] = dict(sorted(found.items(), key=lambda item: not item[0].endswith(".name")))
        self._names = {name: _Name.of(name) for name in self.axes}
        self._refuse_pairs()
        for name in self.axes:
            self.axes[name] = self._checked(name)

    @classmethod
    def read(cls, path: str | PathLike[str], settings: Settings) -> Space:
        """From a TOML file of tables of axes. Raises SettingsError, which names file and key."""
        try:
            return cls(dict(_flat("", _toml.read(Path(path)))), settings)
        except (TypeError, ValueError) as error:
            if isinstance(error, SettingsError):
                raise
            raise SettingsError(f"{path}: {str(error).removeprefix(f'{OWN}: ')}") from error

    def text(self) -> str:
        """The content of a file that `read` reads."""
        import tomlkit

        lines, title = [], ""
        for name, axis in sorted(self.axes.items(), key=lambda item: item[0].partition(".")[0]):
            table, _, key = name.partition(".")
            if table != title:
                lines += [""] if title else []
                lines.append(f"[{table}]")
                title = table
            value = axis.plain()
            if isinstance(value, dict):
                inline = tomlkit.inline_table()
                inline.update(value)
                value = inline
            lines.append(f"{key} = {tomlkit.item(value).as_string()}")
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The axes as plain lists and dicts."""
        return {name: axis.plain() for name, axis in self.axes.items()}

    def walk(self, pick: Callable[[str, Axis], Any]) -> Point:
        """A point: pick(name, axis) for each name that counts, given what was picked before it."""
        point: Point = {}
        for name, axis in self.axes.items():
            if self._counts(name, point):
                point[name] = pick(name, axis)
        return point

    def apply(self, point: Mapping[str, Any]) -> Settings:
        """The settings of a point. Raises ValueError where its values do not go together."""
        return _applied(self.settings, {self._names[name].setting: value for name, value in point.items()})

    def start(self) -> Point | None:
        """The point that the settings themselves are; None where the space does not have them."""
        try:
            point = self.walk(lambda name, axis: self._value(name))
        except KeyError:
            return None
        inside = all(value in self.axes[name] for name, value in point.items())
        return point if inside and self.apply(point) == self.settings else None  # width and depth may not say it all

    def grid(self) -> list[Point]:
        """All points of the grid: every choice, every step of a range, four values of a range without steps."""
        most = math.prod(len(axis.grid()) for axis in self.axes.values())
        points: list[Point] = [{}]
        for name, axis in self.axes.items():
            values = axis.grid()
            points = [
                {**point, name: value} if counts else point
                for point in points
                for counts in (self._counts(name, point),)
                for value in (values if counts else (None,))
            ]
            if len(points) > _MOST_GRID:
                raise ValueError(f"{OWN}: a grid must have at most {_MOST_GRID:,} points, got up to {most:,}")
        return points

    def column(self, name: str) -> str:
        """The name of the setting, without the word that it is for."""
        return self._names[name].setting

    def _counts(self, name: str, point: Mapping[str, Any]) -> bool:
        parts = self._names[name]
        if not parts.option:
            return True
        chosen = point.get(f"{parts.title}.name", getattr(self.settings, parts.title).name)
        return bool(chosen == parts.option)

    def _value(self, name: str) -> Any:
        """What the settings say of a name; KeyError where they say nothing of the kind."""
        parts = self._names[name]
        table = self.settings.to_dict()[parts.title]
        if parts.setting not in _SHAPE:
            return table[parts.key]
        now = table[_sized(self.settings) or parts.key]
        return now[0] if now and parts.key == "width" else len(now)

    def _options(self, title: str) -> tuple[str, ...]:
        """The words that a table's name may be in this space; none where it has no name."""
        if not choices(title):
            return ()
        named = self.axes.get(f"{title}.name")
        return tuple(named.values) if isinstance(named, Choice) else (getattr(self.settings, title).name,)

    def _refuse_pairs(self) -> None:
        """Names that would set the same thing."""
        for name, parts in self._names.items():
            if parts.title == "data" or parts.setting in _FIXED:
                raise ValueError(f"{OWN}: {name} is the same in all trials and cannot be searched")
            if parts.option and parts.setting in self.axes:
                raise ValueError(f"{OWN}: {name} and {parts.setting} exclude each other")
            if parts.setting in _SHAPE:
                for other, its in self._names.items():
                    if its.setting in ("network.hidden", "network.channels"):
                        raise ValueError(f"{OWN}: {name} and {other} exclude each other")

    def _checked(self, name: str) -> Axis:
        """The axis of a name in the type of its setting; raises what settings say of its values."""
        parts, found = self._names[name], self.axes[name]
        options: tuple[str, ...] = () if parts.key == "name" else self._options(parts.title)
        if parts.option:
            if parts.option not in options:
                kinds = f"{parts.title}.name is {' or '.join(options)}" if options else f"{parts.title} has no name"
                raise ValueError(f"{OWN}: {name} never counts: {kinds}")
            options = (parts.option,)
        for option in options or ("",):
            given = {f"{parts.title}.name": option} if option else {}
            for value in found.probes():
                try:
                    settings = _applied(self.settings, {**given, parts.setting: value})
                except (TypeError, ValueError) as error:
                    raise _renamed(error) from error
        if isinstance(found, Choice) or parts.setting in _SHAPE:
            return found
        if isinstance(settings.to_dict()[parts.title][parts.key], float):
            return Range(float(found.low), float(found.high), found.log, found.step)
        if isinstance(found.step, float):
            raise TypeError(f"{OWN}: {name}: step must be an integer, got {found.step}")
        return found


def _applied(settings: Settings, changes: Point) -> Settings:
    """Settings with values by dotted name, width and depth among them."""
    width, depth = changes.get("network.width"), changes.get("network.depth")
    settings = settings.override({key: changes[key] for key in changes if key not in _SHAPE})
    if width is None and depth is None:
        return settings
    name, sized = settings.network.name, _sized(settings)
    if sized is None:
        raise ValueError(f"Settings: network.{'depth' if width is None else 'width'} is no setting of {name}")
    now = settings.network.keywords[sized] or (1,)
    width = _checks.integer("Settings", "network.width", now[0] if width is None else width, 1)
    depth = _checks.integer("Settings", "network.depth", len(now) if depth is None else depth, 1)
    return settings.override({f"network.{sized}": sizes(name, width, depth)})


def _renamed(error: TypeError | ValueError) -> TypeError | ValueError:
    """What settings say of a value, said of the space."""
    return type(error)(f"{OWN}: {str(error).removeprefix('Settings: ')}")


def _sized(settings: Settings) -> str | None:
    """The key that width and depth set."""
    return next((key for key in ("hidden", "channels") if key in settings.network.keywords), None)


def _flat(title: str, tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Axes by dotted name, from tables in tables."""
    for key, value in tables.items():
        name = f"{title}.{key}" if title else key
        if isinstance(value, Mapping) and not value.keys() & {"low", "high"}:
            yield from _flat(name, value)
        else:
            yield name, value
