"""The page of the command line, from the commands themselves: a hook of MkDocs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
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
            with click.Context(command, context, info_name=name) as own:
                yield from _command(command, own)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"## {context.command_path}\n\n```console\n$ {usage}\n```\n"
    yield _prose(command.help or "") + "\n"
    options = _Lists()
    command.format_options(context, options)
    yield options.getvalue().lstrip("\n")


class _Lists(click.HelpFormatter):
    """What commands write their options to: as headings and lists."""

    def write_heading(self, heading: str) -> None:
        """The options that have no group need no heading."""
        if heading != "Options":
            self.write(f"**{heading}**\n\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        """Flags, and what they do. Those of all commands stand at the top of the page."""
        for flag, text in rows:
            if flag not in ("--help", "--debug"):
                self.write(f"- `{flag.replace('|', ' | ')}`: {_prose(text)}\n")


def _prose(text: str) -> str:
    """Running text, whose stars and underlines stay: paragraphs on a line each, and flags as code."""
    lines = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip()))
    escaped = (re.sub(r"([*_\[\]<])", r"\\\1", line) for line in lines)
    return re.sub(r"(?<![`\w-])(--[a-z][\w-]*)", r"`\1`", "\n\n".join(escaped))
