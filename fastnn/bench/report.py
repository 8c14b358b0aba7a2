"""What is shown of a run: a table in the terminal, and bench.json, bench.md and bench.png in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fastnn import _files
from fastnn.bench.peers import TITLES
from fastnn.bench.rows import Row
from fastnn.bench.run import Document
from fastnn.bench.text import amount
from fastnn.bench.workloads import GROUPS

if TYPE_CHECKING:
    from rich.table import Table

    from fastnn.bench.growth import Point

JSON_FILE, MARKDOWN_FILE, CHART_FILE = "bench.json", "bench.md", "bench.png"
_FORMS: dict[str, Callable[[float], str]] = {
    "ratio": "{:.2f}".format, "gflops": "{:.0f}".format, "share": "{:.0%}".format, "seconds": "{:.2f} s".format,
}  # fmt: skip


def figure_text(figure: Row) -> str:
    """A figure, whether it is reached, and what was measured."""
    if figure["reached"] is None:
        return f"{figure['text']}: not measured"
    return f"{'✓' if figure['reached'] else '✗'} {figure['text']}: {_FORMS[figure['quantity']](figure['value'])}"


def summary(document: Document) -> list[str]:
    """Counts: rows, those where a peer is ahead, figures reached and missed."""
    rows = document["rows"]
    figures = [figure for row in rows for figure in row["figures"] if figure["reached"] is not None]
    behind = [row for row in rows if row.get("ratio", 1.0) < 1.0]
    lines = [
        f"rows: {len(rows)}, behind the best peer in {len(behind)}",
        f"figures reached: {sum(figure['reached'] for figure in figures)} of {len(figures)}",
    ]
    lines += [f"left out: {TITLES.get(name, name)}: {reason}" for name, reason in document["left_out"].items()]
    return lines + [f"error: {error['id']}: {error['message']}" for error in document["errors"]]


def terminal(document: Document) -> Table:
    """The table for rich."""
    from rich.table import Table

    table = Table("work", "fastnn", "best peer", "ratio", "quartiles", "share of peak", "figures", header_style="bold")
    for column in table.columns[1:6]:
        column.justify = "right"
    for row in document["rows"]:
        best = row["peers"].get(row.get("best"))
        share = f"{row['share']:.0%}" if "share" in row else ""
        cells = [row["id"], amount(row["ours"]["median"], row["unit"])]
        if best:
            cells += [
                f"{TITLES[row['best']]} {amount(best['median'], row['unit'])}", f"{row['ratio']:.2f}",
                f"{best['ratio']['q1']:.2f}-{best['ratio']['q3']:.2f}",
            ]  # fmt: skip
        else:
            cells += ["", "", ""]
        table.add_row(*cells, share, "\n".join(map(figure_text, row["figures"])))
    return table


def markdown(document: Document) -> str:
    """The page: what was measured where, and a table for each kind of work."""
    effort, versions = document["settings"], document["versions"]
    lines = [
        "# fastnn and other libraries",
        "",
        f"Made by `fastnn bench`: {effort['rounds']} rounds, blocks of {effort['block']:g} s after a pause of "
        f"{effort['pause']:g} s, {effort['threads']} threads, {effort['runs']} runs of a whole process. A column of a "
        "library is its time by fastnn's (median over rounds): above 1 fastnn is faster. Every library is there with "
        "its fastest variant; the best of them is bold. In brackets: the quartiles of that ratio.",
        "",
        *(f"- {name}: {value}" for name, value in document["machine"].items()),
        f"- versions: {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"- measured: {document['date']}",
        *(f"- {line}" for line in summary(document)),
    ]
    for kind, title in GROUPS.items():
        rows = [row for row in document["rows"] if row["kind"] == kind]
        if rows:
            lines += ["", f"## {title}", "", *_table(rows)]
            lines += [f"\n{row['id']}: {note}" for row in rows for note in row.get("notes", [])]
    return "\n".join(lines) + "\n"


def _table(rows: list[Row]) -> list[str]:
    peers = [name for name in TITLES if any(name in row["peers"] for row in rows)]
    rates = any("gflops" in row for row in rows)
    heads = ["work", "fastnn", *(TITLES[name] for name in peers)]
    heads += ["GFLOP/s", "share of peak"] if rates else []
    lines = ["| " + " | ".join([*heads, "figures"]) + " |", "|---|" + "---:|" * (len(heads) - 1) + "---|"]
    for row in rows:
        cells = [row["title"], amount(row["ours"]["median"], row["unit"])]
        cells += [_ratio(row, name) for name in peers]
        if rates:
            cells += [f"{row['gflops']:.0f}", f"{row['share']:.0%}"] if "gflops" in row else ["", ""]
        lines.append("| " + " | ".join([*cells, "; ".join(map(figure_text, row["figures"]))]) + " |")
    return lines


def _ratio(row: Row, name: str) -> str:
    if name not in row["peers"]:
        return ""
    ratio = row["peers"][name]["ratio"]
    text = f"{ratio['median']:.2f}"
    return f"**{text}** ({ratio['q1']:.2f}-{ratio['q3']:.2f})" if name == row["best"] else text


def write_json(folder: Path, document: Document) -> None:
    """Write bench.json."""
    _files.replace(folder / JSON_FILE, json.dumps(document, indent=1) + "\n")


def write_all(folder: Path, document: Document) -> str:
    """Write bench.json, bench.md and, where matplotlib is, bench.png; returns what is left out, or nothing."""
    from fastnn.bench import chart

    write_json(folder, document)
    _files.replace(folder / MARKDOWN_FILE, markdown(document))
    return _write_chart(folder / CHART_FILE, lambda: chart.png(document))


def write_growth(folder: Path, points: list[Point]) -> list[str]:
    """Write growth.json, growth.md and, where matplotlib is, growth.png; returns what is left out."""
    from fastnn.bench import growth

    _files.replace(folder / "growth.json", json.dumps(growth.rows(points), indent=1) + "\n")
    _files.replace(folder / "growth.md", growth.markdown(points))
    missing = _write_chart(folder / "growth.png", lambda: growth.png(points))
    return [missing] if missing else []


def _write_chart(path: Path, draw: Callable[[], bytes | None]) -> str:
    """Write a picture; returns why not, or nothing."""
    try:
        drawn = draw()
    except ModuleNotFoundError as error:
        return f"without {path.name}: {error}"
    if drawn is None:
        return f"without {path.name}: no row has a peer"
    _files.replace(path, drawn)
    return ""
