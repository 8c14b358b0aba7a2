"""Settings that are known to work, each with a name: TOML files beside this one.

docs/recipes.md has what each reaches.
"""

from __future__ import annotations

from pathlib import Path

from fastnn import _checks
from fastnn.settings import Settings

_FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """All recipes, in the order of the alphabet."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load(name: str) -> Settings:
    """The settings of the recipe called name. Raises ValueError where there is none of that name."""
    return Settings.read(_path(name))


def description(name: str) -> str:
    """One line about the recipe called name: the first of its file."""
    return _path(name).read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


def _path(name: str) -> Path:
    return _FOLDER / f"{_checks.choice('recipes', 'name', name, names())}.toml"
