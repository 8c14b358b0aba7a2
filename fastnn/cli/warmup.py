"""`fastnn warmup`: compile everything before it is needed."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator

import click

from fastnn.cli._group import debug_option


@click.command(short_help="Compile all kernels into the cache.")
@click.option("--float64", is_flag=True, help="Those for float64 too.")
@click.option("--bf16", is_flag=True, help="Those for precision bf16 too.")
@click.option("--jobs", type=click.IntRange(min=1), help="Number of processes. Without it: one per core.")
@click.option("--times", is_flag=True, help="Show what was compiled, and the seconds of each.")
@debug_option
def warmup(float64: bool, bf16: bool, jobs: int | None, times: bool) -> None:
    """Compile all kernels into the cache, so that no training has to wait for the compiler.

    What is there already is not compiled again. An interrupted warmup loses nothing of what it finished.
    """
    from fastnn._warmup import BF16_CASE, CASES

    folder = _cache_folder()
    began = time.perf_counter()
    work = [(case, kind) for kind in ("float32", "float64")[: 1 + float64] for case in CASES]
    if bf16:
        work.append((BF16_CASE, "bf16"))
    compiled: list[tuple[str, float]] = []
    for found in _shown(_run(work, jobs or os.cpu_count() or 1), len(work)):
        compiled += found
    if times:
        for name, seconds in sorted(compiled, key=lambda row: -row[1]):
            click.echo(f"{seconds:7.3f} s  {name}")
    if compiled:
        click.echo(f"{len(compiled)} functions compiled in {time.perf_counter() - began:.1f} s, kept in {folder}")
    else:
        click.echo(f"nothing to do: all kernels are in {folder}")


def _cache_folder() -> str:
    from fastnn.kernels import _cache

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        folder = _cache.cache_folder()
    if folder is None:
        reason = str(caught[-1].message) if caught else f"set {_cache.CACHE_VARIABLE} to a writable folder"
        raise RuntimeError(reason.removeprefix("fastnn: "))
    return str(folder)


def _run(work: list[tuple[str, str]], jobs: int) -> Iterator[list[tuple[str, float]]]:
    """What each piece of work had to compile, in the order in which they are finished."""
    from multiprocessing import get_context

    # Spawned, because compiled code and threads do not survive a fork; ended at once by an error or Ctrl-C.
    with get_context("spawn").Pool(min(jobs, len(work)), _prepare) as pool:
        yield from pool.imap_unordered(_missing, work)


def _prepare() -> None:
    """Prepare a worker."""
    from fastnn._threads import set_num_threads

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    set_num_threads(1)  # and no helper: each core has a worker


def _missing(piece: tuple[str, str]) -> list[tuple[str, float]]:
    from fastnn._warmup import missing

    return missing(*piece)


def _shown(results: Iterator[list[tuple[str, float]]], total: int) -> Iterator[list[tuple[str, float]]]:
    """The results; a bar where there is a terminal, one plain line for each everywhere else."""
    if not sys.stdout.isatty():
        for number, found in enumerate(results, 1):
            click.echo(f"{number}/{total}  {len(found)} functions, {sum(seconds for _, seconds in found):.1f} s")
            yield found
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("compiling kernels"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True
    ) as bar:
        yield from bar.track(results, total=total)
