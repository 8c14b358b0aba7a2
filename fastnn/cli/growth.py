"""`fastnn growth`: how the time of a training step grows with batch, width, depth, channels, pixels and threads."""

from __future__ import annotations

from pathlib import Path

import click

from fastnn.cli import _options
from fastnn.cli._group import debug_option


@click.command(short_help="Measure how a step's time grows.")
@click.option("--curve", "patterns", metavar="AXIS", multiple=True, help="Only this axis, such as batch; repeatable.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="The best of them counts.")
@_options.threads
@click.option("--out", type=_options.Folder, help="Folder for growth.json, growth.md and growth.png.")
@debug_option
def growth(patterns: tuple[str, ...], rounds: int, threads: int | None, out: Path | None) -> None:
    """Measure training steps along one axis at a time, beside what the cost model predicts and the roofline allows."""
    from fastnn.bench import growth as curves
    from fastnn.bench import report
    from fastnn.cli._run import prepare

    axes = [curve.axis for curve in curves.CURVES]
    if unknown := [name for name in patterns if name not in axes]:
        raise click.UsageError(f"--curve must be one of {', '.join(axes)}, got {unknown[0]}")
    prepare("numba", threads)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    points = curves.measure(click.echo, patterns or axes, rounds)
    click.echo(curves.judgement(points))
    if out is not None:
        for missing in report.write_growth(out, points):
            click.echo(missing)
        click.echo(f"written to {out}")
