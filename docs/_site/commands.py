"""The page of the command line, from the commands themselves: a hook of MkDocs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Put the commands in the place of MARK."""
    if MARK not in markdown:
        return markdown
    from fastnn.cli import main

    return markdown.replace(MARK, "\n".join(_group(main)))


def _group(group: click.Group) -> Iterator[str]:
    with click.Context(group, info_name="fastnn") as context:
        for name, command in group.commands.items():
            with click.Context(command, context, info_name=name, max_content_width=10_000, terminal_width=10_000) as own:
                yield from _command(command, own)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    places = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
    yield f"## fastnn {context.info_name}\n\n```console\n$ {context.command_path} [OPTIONS] {places}".rstrip() + "\n```\n"
    yield _prose(command.help or "") + "\n"
    # The help as click would print it, on lines that are never broken: "  --flag TYPE  What it does."
    formatter = click.HelpFormatter(width=10_000, max_width=10_000)
    command.format_options(context, formatter)
    for line in formatter.getvalue().splitlines():
        if not line.startswith(" "):
            yield f"**{line.rstrip(':')}**\n" if line not in ("", "Options:") else ""
        elif not line.strip().startswith(("--help ", "--debug ")):
            flag, _, text = line.strip().partition("  ")
            yield f"- `{flag.replace('|', ' | ')}`: {_prose(text.strip())}"
    yield ""


def _prose(text: str) -> str:
    """Running text, whose stars and underlines stay: paragraphs on a line each, and flags as code."""
    lines = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip()))
    escaped = (re.sub(r"([*_\[\]<])", r"\\\1", line) for line in lines)
    return re.sub(r"(?<![`\w-])(--[a-z][\w-]*)", r"`\1`", "\n\n".join(escaped))
