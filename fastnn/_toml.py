"""TOML files of tables of plain values, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastnn.errors import SettingsError

_MOST_PADDING = 36  # columns up to which comments stand below each other


def read(path: Path) -> dict[str, Any]:
    """The content of a file. Raises SettingsError when it cannot be read or is no TOML."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: no TOML file: it is no text") from error
    except TOMLKitError as error:
        raise SettingsError(f"{path}: no TOML file: {error}") from error


def text(heading: str, tables: Mapping[str, Mapping[str, Any]], notes: Mapping[str, str]) -> str:
    """A document of tables. heading: a comment at its top. notes: comments by "table.key"; not each key needs one."""
    import tomlkit

    document = tomlkit.document()
    for line in heading.splitlines():
        document.add(tomlkit.comment(line))
    for name, values in tables.items():
        document.add(tomlkit.nl())
        table = tomlkit.table()
        items = {key: tomlkit.item(list(value) if isinstance(value, tuple) else value) for key, value in values.items()}
        widths = {key: len(f"{key} = {item.as_string()}") for key, item in items.items()}
        column = max((width for width in widths.values() if width <= _MOST_PADDING), default=0)
        for key, item in items.items():
            if note := notes.get(f"{name}.{key}"):
                item.comment(note)
                item.trivia.comment_ws = " " * (max(column - widths[key], 0) + 2)
            table.add(key, item)
        document.add(name, table)
    return tomlkit.dumps(document)
