"""An evaluation in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.metrics import Means
    from fastnn.report._evaluation import ClassRow, Evaluation

TOP = 5  # of the accuracy among the likeliest classes


def page(found: Evaluation, title: str, pictures: Iterable[str]) -> str:
    """See `Evaluation.markdown`."""
    lines = [f"# {title}", "", *(f"- {line}" for line in _facts(found)), "", "## Classes", ""]
    lines += ["| class | precision | recall | F1 | samples |", "|---|---:|---:|---:|---:|"]
    means = [("mean", found.macro), ("mean by samples", found.weighted)]
    for row in found.classes:
        lines.append(_line(_cell(row.name), *_percents(row), f"{row.samples:,}"))
    lines += [_line(f"*{name}*", *_percents(mean), f"{found.samples:,}") for name, mean in means]
    if found.confused:
        lines += ["", "## Most confused", "", "| true | taken for | samples | share |", "|---|---|---:|---:|"]
        lines += [
            _line(_cell(pair.truth), _cell(pair.predicted), f"{pair.count:,}", f"{pair.share:.2%}")
            for pair in found.confused
        ]
    if found.worst:
        lines += ["", "## Worst errors", "", "| row | true | its probability | taken for | its probability |"]
        lines += ["|---:|---|---:|---|---:|"]
        lines += [
            _line(str(worst.row), _cell(worst.truth), f"{worst.truth_probability:.2%}", _cell(worst.predicted),
                  f"{worst.confidence:.2%}")
            for worst in found.worst
        ]  # fmt: skip
    for name in pictures:
        lines += ["", f"![{Path(name).stem.replace('_', ' ')}]({name})"]
    return "\n".join(lines) + "\n"


def _facts(found: Evaluation) -> list[str]:
    facts = [f"samples: {found.samples:,}", f"loss: {found.loss:.4f}", f"accuracy: {found.accuracy:.2%}"]
    if found.top_5_accuracy is not None:
        facts.append(f"true class among the {TOP} likeliest: {found.top_5_accuracy:.2%}")
    if found.calibration_error is not None:
        facts.append(f"calibration error: {found.calibration_error:.2%}")
    return facts


def _percents(row: ClassRow | Means) -> list[str]:
    return [f"{value:.2%}" for value in (row.precision, row.recall, row.f1)]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(name: str) -> str:
    return name.replace("|", "\\|")
