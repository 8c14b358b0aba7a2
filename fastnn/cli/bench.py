"""`fastnn bench`: fastnn beside other libraries, on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastnn.cli import _options
from fastnn.cli._group import debug_option

if TYPE_CHECKING:
    from fastnn.bench.peers import Peer
    from fastnn.bench.workloads import Work

_WIDTH = 140  # of the table where there is no terminal


def _peer_names() -> Sequence[str]:
    from fastnn.bench.peers import PEERS

    return tuple(peer.name for peer in PEERS)


@click.command(short_help="Compare with other libraries.")
@click.option(
    "--peers/--no-peers", default=True, help="Beside all libraries that are installed, or NumPy alone. [default: all]"
)
@click.option(
    "--peer", "names", type=_options.LazyChoice(_peer_names), multiple=True, help="Only this one; repeatable."
)
@click.option(
    "--work", "patterns", metavar="PATTERN", multiple=True, help="Only works that begin or match so; repeatable."
)
@click.option(
    "--rounds", type=click.IntRange(min=1), help="Rounds a work, and runs of a whole process. [default: 5, 3]"
)
@_options.threads
@click.option("--out", type=_options.Folder, help="Folder for bench.json, bench.md and bench.png.")
@click.option("--quick", is_flag=True, help="Two short rounds, without torch.compile: the outline in ten minutes.")
@click.option("--data-dir", type=_options.Folder, help="Folder that has MNIST. Without it: FASTNN_DATA.")
@click.option("--list", "lists", is_flag=True, help="Show works, figures and libraries, and measure nothing.")
@debug_option
def bench(
    peers: bool,
    names: tuple[str, ...],
    patterns: tuple[str, ...],
    rounds: int | None,
    threads: int | None,
    out: Path | None,
    quick: bool,
    data_dir: Path | None,
    lists: bool,
) -> None:
    """Measure training steps, inference and whole processes, ours and those of other libraries in turn.

    Every library starts from the same weights and data; one whose results differ is an error and makes no row.
    Libraries that are not installed are left out: pip install 'fastnn[peers]'. MNIST is read from --data-dir or
    FASTNN_DATA, never downloaded.
    """
    from dataclasses import replace

    from fastnn.bench.measure import FULL, QUICK
    from fastnn.bench.peers import PEERS
    from fastnn.bench.run import cpus, run
    from fastnn.bench.workloads import select

    if names and not peers:
        raise click.UsageError("--no-peers and --peer exclude each other")
    try:
        works = select(patterns)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if threads is not None and threads > cpus():
        raise click.UsageError(f"--threads must be at most {cpus()}, the number of CPUs, got {threads}")
    left_out = {"torch-compile"} if quick else set()  # compiles for up to a minute a work
    wanted = set(names) or (set(_peer_names()) - left_out if peers else {"numpy"})
    chosen = [peer for peer in PEERS if peer.name in wanted]
    if lists:
        _show_list(works, chosen)
        return
    effort = QUICK if quick else FULL
    if rounds is not None:
        effort = replace(effort, rounds=rounds, runs=rounds)
    if data_dir is None and os.environ.get("FASTNN_DATA"):
        data_dir = Path(os.environ["FASTNN_DATA"])

    from rich.console import Console

    from fastnn.bench import report

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    document = run(
        works, chosen, threads or cpus(), effort, data_dir, click.echo,
        keep=lambda document: report.write_json(out, document) if out else None,
    )  # fmt: skip
    console = Console()
    (console if console.is_terminal else Console(width=_WIDTH)).print(report.terminal(document))
    for line in report.summary(document):
        click.echo(line)
    if out is not None:
        if missing := report.write_all(out, document):
            click.echo(missing)
        click.echo(f"written to {out}")
    if document["errors"]:
        wrong = ", ".join(error["id"] for error in document["errors"])
        raise click.ClickException(f"bench: no row for {wrong}: see the errors above")


def _show_list(works: Sequence[Work], peers: Sequence[Peer]) -> None:
    from fastnn.bench.peers import installed

    for work in works:
        click.echo(f"{work.id:22} {work.title}" + "".join(f"; {figure}" for figure in work.figures))
    click.echo()
    for peer in peers:
        found = ", ".join(f"{name} {installed(name)}" for name in peer.packages) or "with fastnn"
        click.echo(f"{peer.name:22} {peer.missing() or found}")
