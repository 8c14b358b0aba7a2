"""Turn the JSON of a benchmark run into Markdown: `python -m benchmarks.table FILE.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastnn.bench.text import seconds

Row = dict[str, Any]


# Key of a row, title, and form. Columns that no row of a table has are left out.
COLUMNS: list[tuple[str, str, Callable[[Any], str]]] = [
    ("operation", "operation", str),
    ("shape", "shape", str),
    ("ours", "fastnn", seconds),
    ("theirs", "NumPy", seconds),
    ("ratio", "times NumPy's speed", "{:.2f}".format),
    ("full", "float32", seconds),
    ("full_ratio", "times float32's speed", "{:.2f}".format),
    ("gflops", "GFLOP/s", "{:.0f}".format),
    ("peak", "peak", "{:.0f}".format),
    ("share", "share of peak", "{:.0%}".format),
    ("copy", "plain copy", seconds),
    ("copy_ratio", "times a copy", "{:.2f}".format),
    ("extra", "more than NumPy", seconds),
]
FORMS = {key: form for key, _, form in COLUMNS}
TITLES = {key: title for key, title, _ in COLUMNS}


def missed(row: Row) -> list[str]:
    """Return the keys whose figure the row does not reach."""
    least = [name for name in row if row.get(f"{name}_least") is not None and row[name] < row[f"{name}_least"]]
    return least + [name for name in row if row.get(f"{name}_most") is not None and row[name] > row[f"{name}_most"]]


def wanted(row: Row, name: str) -> str:
    """What the figure is that a row does not reach."""
    for end, sign in (("least", "at least"), ("most", "at most")):
        if f"{name}_{end}" in row:
            return f"{TITLES[name]} {sign} {FORMS[name](row[f'{name}_{end}'])}"
    raise KeyError(name)


def table(rows: list[Row]) -> list[str]:
    """Return the lines of one table. Values that miss their figure are bold, and the last column names it."""
    shows_extra = any("extra_most" in row for row in rows)
    columns = [column for column in COLUMNS if any(column[0] in row for row in rows)]
    columns = [column for column in columns if column[0] != "extra" or shows_extra]
    lines = [
        "| " + " | ".join([title for _, title, _ in columns] + ["misses"]) + " |",
        "|---|---|" + "---:|" * (len(columns) - 2) + "---|",
    ]
    for row in rows:
        misses = missed(row)
        cells = []
        for key, _, form in columns:
            text = form(row[key]) if key in row else ""
            cells.append(f"**{text}**" if key in misses else text)
        lines.append("| " + " | ".join([*cells, "; ".join(wanted(row, name) for name in misses)]) + " |")
    return lines


def markdown(run: dict[str, Any]) -> str:
    """Return the whole page: the machine, what is missed, a table per group."""
    groups: dict[str, list[Row]] = {}
    for benchmark in run["benchmarks"]:
        if "operation" in benchmark["extra_info"]:
            groups.setdefault(benchmark["group"] or "other", []).append(benchmark["extra_info"])
    rows = [row for group in groups.values() for row in group]
    machine = run["machine_info"].get("fastnn", {})
    lines = ["# Benchmarks", "", *(f"- {name}: {value}" for name, value in machine.items())]
    lines += [f"- measured: {run['datetime'][:10]}", f"- rows: {len(rows)}"]
    lines += [f"- slower than NumPy: {sum(row.get('ratio', 1.0) < 1.0 for row in rows)}"]
    lines += [f"- rows that miss their figure: {sum(bool(missed(row)) for row in rows)}"]
    for name, group in groups.items():
        lines += ["", f"## {name[0].upper()}{name[1:]}", "", *table(group)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.table FILE.json")
    print(markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")
