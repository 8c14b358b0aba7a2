"""How every command reports an error: one line on stderr, exit status 1, or 2 for a wrong call."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

_INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended
_DEBUG = "fastnn.debug"


def _set_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta[_DEBUG] = True


def _show_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from fastnn import __version__

        click.echo(f"fastnn {__version__}")
        context.exit()


debug_option: Callable[[Any], Any] = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of an error."
)
version_option: Callable[[Any], Any] = click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version.",
)


class Group(click.Group):
    """A group of commands whose errors are one line on stderr."""

    def main(  # type: ignore[override]  # every call ends in sys.exit
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> Any:
        """Run a command and exit: 0 success, 1 error, 2 wrong usage, 130 interrupted."""
        extra["standalone_mode"] = False
        try:
            status = super().main(args, prog_name, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = error.exit_code
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "fastnn"
            status = _fail(f"{command}: {error.format_message()} (see {command} --help)", error.exit_code)
        except click.ClickException as error:
            status = _fail(f"fastnn: {error.format_message()}", error.exit_code)
        except click.Abort:
            status = _fail("fastnn: interrupted", _INTERRUPTED)
        except BrokenPipeError:  # the reader of a pipe has gone; nothing may be written to it at exit either
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            status = 1
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command; what fastnn raises on purpose becomes a ClickException."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except KeyboardInterrupt as interrupt:
            raise click.Abort from interrupt
        except (ValueError, TypeError, RuntimeError, ImportError, MemoryError, OSError) as error:
            if isinstance(error, click.exceptions.Exit | click.Abort) or _DEBUG in ctx.meta:
                raise
            raise click.ClickException(_one_line(error)) from error


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _fail(message: str, status: int) -> int:
    click.echo(message, err=True)
    return status
