"""What one searched setting may be: one of several values, or a number between two."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastnn import _checks

OWN = "Space"
GRID_POINTS = 4  # of a range without a step, in a grid


@dataclass(frozen=True)
class Choice:
    """One of values, in no order."""

    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str | int | float | bool, ...]:
        """The values as a database keeps them: a list is its JSON text."""
        return tuple(_label(value) for value in self.values)

    def grid(self) -> tuple[Any, ...]:
        """What a grid takes: all."""
        return self.values

    def probes(self) -> tuple[Any, ...]:
        """The values that stand for all others when the axis is checked."""
        return self.values

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def plain(self) -> Any:
        """As a file has it."""
        return [list(value) if isinstance(value, tuple) else value for value in self.values]


@dataclass(frozen=True)
class Range:
    """A number from low to high, both included; integers where both are. log: small ones as often as large ones.

    step: only low, low + step, low + 2 step, ...
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether it is of integers."""
        return isinstance(self.low, int)

    def rounded(self, value: float) -> float:
        """A number of it that a reader can take in: four digits of a float, all of an integer or of a step."""
        if self.whole or self.step is not None:
            return self._typed(value)
        return min(max(float(f"{value:.4g}"), self.low), self.high)

    def grid(self) -> tuple[Any, ...]:
        """What a grid takes: every step, else `GRID_POINTS` values at equal distances, or as many as there are."""
        step = self.step
        if step is None and self.whole and self.high - self.low < GRID_POINTS:
            step = 1
        if step is not None:
            return tuple(self._typed(self.low + i * step) for i in range(round((self.high - self.low) / step) + 1))
        parts = [i / (GRID_POINTS - 1) for i in range(GRID_POINTS)]
        if self.log:
            inner = [self.low * (self.high / self.low) ** part for part in parts[1:-1]]
        else:
            inner = [self.low + (self.high - self.low) * part for part in parts[1:-1]]
        return tuple(dict.fromkeys((self.low, *map(self.rounded, inner), self.high)))

    def probes(self) -> tuple[Any, ...]:
        """The values that stand for all others when the axis is checked."""
        return self.low, self.high

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return self.rounded(value) == value and (self.step is None or value in self.grid())

    def plain(self) -> dict[str, Any]:
        """As a file has it."""
        log: dict[str, Any] = {"log": True} if self.log else {}
        step = {} if self.step is None else {"step": self.step}
        return {"low": self.low, "high": self.high, **log, **step}

    def _typed(self, value: float) -> float:
        return round(value) if self.whole else float(f"{value:.12g}")  # 0.1 + 2 * 0.1 is 0.3


Axis = Choice | Range


def axis(name: str, value: object) -> Axis:
    """The axis of a list of choices or a mapping of low, high, log, step."""
    if isinstance(value, Choice | Range):
        value = value.plain()
    if isinstance(value, list | tuple):
        return _choice(name, value)
    if isinstance(value, Mapping):
        return _range(name, value)
    raise TypeError(f"{OWN}: {name} must be a list of choices or {{low, high, log, step}}, got {value!r}")


def _choice(name: str, values: list[Any] | tuple[Any, ...]) -> Choice:
    if not values:
        raise ValueError(f"{OWN}: {name} must have a choice, got an empty list")
    found = tuple(tuple(value) if isinstance(value, list) else value for value in values)
    for i, value in enumerate(found):
        if not isinstance(value, str | int | float | tuple):
            raise TypeError(f"{OWN}: {name} must be a list of settings, got {type(value).__name__} in it")
        if value in found[:i]:
            raise ValueError(f"{OWN}: {name} has {value!r} twice")
    return Choice(found)


def _range(name: str, value: Mapping[str, Any]) -> Range:
    for key in value:
        if key not in ("low", "high", "log", "step"):
            raise ValueError(f"{OWN}: {name} has {key!r}: a range has low, high, log and step")
    for key in ("low", "high"):
        if key not in value:
            raise ValueError(f"{OWN}: {name}: {key} is missing")
    low, high = (_number(name, key, value[key]) for key in ("low", "high"))
    log = _checks.flag(OWN, f"{name}: log", value.get("log", False))
    if low > high:
        raise ValueError(f"{OWN}: {name}: low must be <= high, got {low} > {high}")
    if log and low <= 0:
        raise ValueError(f"{OWN}: {name}: low must be > 0 where log is true, got {low}")
    step = value.get("step")
    if step is None:
        return Range(low, high, log)
    if log:
        raise ValueError(f"{OWN}: {name}: log and step exclude each other")
    step = _number(name, "step", step)
    if step <= 0:
        raise ValueError(f"{OWN}: {name}: step must be > 0, got {step}")
    last = low + math.floor((high - low) / step + 1e-9) * step
    return Range(low, high if math.isclose(last, high) else last, step=step)


def _number(name: str, key: str, value: Any) -> Any:
    _checks.number(OWN, f"{name}: {key}", value)
    return value


def _label(value: Any) -> str | int | float | bool:
    text: str | int | float | bool = json.dumps(value) if isinstance(value, tuple) else value
    return text
