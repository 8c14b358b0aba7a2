"""A flag for every setting, made from one table, and a help text that shows them in groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from fastnn._notes import NOTES
from fastnn.cli import _options

if TYPE_CHECKING:
    from fastnn.settings import Settings


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """Numbers with commas between them; "none" is no number at all, `word` stands for itself, and so does a number
    alone where that is `one`."""

    name = "numbers"

    def __init__(self, kind: type[int] | type[float], metavar: str, word: str = "", one: bool = False) -> None:
        self._kind, self._metavar, self._word, self._one = kind, metavar, word, one

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """An example."""
        return self._metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A tuple, a number or the word."""
        if not isinstance(value, str) or (self._word and value == self._word):
            return value
        try:
            found = () if value == "none" else tuple(self._kind(each) for each in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no list like {self._metavar}", param, ctx)
        return found[0] if self._one and len(found) == 1 else found


class Size(click.ParamType):  # type: ignore[type-arg]
    """Height and width in pixels, or one number for both."""

    name = "size"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """An example."""
        return "28|28x32"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A tuple of one or two numbers."""
        try:
            return tuple(int(each) for each in value.split("x"))
        except ValueError:
            self.fail(f"{value!r} is no size like 28 or 28x32", param, ctx)


class NumberOrWord(click.ParamType):  # type: ignore[type-arg]
    """A number where it is one."""

    name = "number or word"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What it takes."""
        return "NAME|NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A float or the word."""
        try:
            return float(value)
        except ValueError:
            return value


class Flip(click.Choice):  # type: ignore[type-arg]
    """A direction, or none."""

    def __init__(self) -> None:
        super().__init__(["horizontal", "vertical", "both", "none"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word; False for none."""
        found = super().convert(value, param, ctx)
        return found != "none" and found


def _names(table: str) -> Callable[[], Sequence[str]]:
    def names() -> Sequence[str]:
        from fastnn.settings import choices

        return choices(table)

    return names


_SIZES = Numbers(int, "32,64")
_SIZES_OR_NONE = Numbers(int, "256,128|none")
_POSITIVE = click.FloatRange(min=0, min_open=True)
_AT_LEAST_1 = click.IntRange(min=1)
_MONITORED = click.Choice(["loss", "accuracy", "val_loss", "val_accuracy"])

# By setting: its flag and the flag's type. Ranges that are not here are checked by the settings themselves.
FLAGS: dict[str, tuple[str, Any]] = {
    "data.dataset": ("--dataset", _options.dataset_type),
    "data.data_dir": ("--data-dir", click.Path(file_okay=False)),
    "data.split": ("--split", str),
    "data.validation_split": ("--validation-split", float),
    "data.image_size": ("--image-size", Size()),
    "data.colour": ("--colour/--grey", bool),
    "data.image_form": ("--image-form", click.Choice(["plain", "mnist"])),
    "data.label_column": ("--label-column", str),
    "data.standardize": ("--standardize/--no-standardize", bool),
    "augmentation.shift": ("--shift", Numbers(float, "2|2,3", one=True)),
    "augmentation.rotate": ("--rotate", float),
    "augmentation.scale": ("--scale", float),
    "augmentation.shear": ("--shear", float),
    "augmentation.elastic": ("--elastic", Numbers(float, "ALPHA,SIGMA|0", one=True)),
    "augmentation.flip": ("--flip", Flip()),
    "augmentation.crop": ("--crop", int),
    "augmentation.resize": ("--resize", float),
    "augmentation.cutout": ("--cutout", int),
    "augmentation.mixup": ("--mixup", float),
    "augmentation.border": ("--border", click.Choice(["constant", "edge", "reflect"])),
    "augmentation.fill": ("--fill", Numbers(float, "0.5|0.5,0.4,0.3", one=True)),
    "network.name": ("--model", _options.LazyChoice(_names("network"))),
    "network.hidden": ("--hidden", _SIZES_OR_NONE),
    "network.channels": ("--channels", _SIZES),
    "network.convs": ("--convs", int),
    "network.kernel_size": ("--kernel-size", Numbers(int, "3|5,3")),
    "network.padding": ("--padding", click.Choice(["same", "valid"])),
    "network.dense": ("--dense", _SIZES_OR_NONE),
    "network.blocks": ("--blocks", int),
    "network.activation": ("--activation", str),
    "network.dropout": ("--dropout", float),
    "network.batch_norm": ("--batch-norm/--no-batch-norm", bool),
    "network.clip_pre_activations": ("--clip-pre-activations", float),
    "network.pool_first": ("--pool-first/--no-pool-first", bool),
    "network.init": ("--init", NumberOrWord()),
    "optimizer.name": ("--optimizer", _options.LazyChoice(_names("optimizer"))),
    "optimizer.learning_rate": ("--lr", _POSITIVE),
    "optimizer.momentum": ("--momentum", float),
    "optimizer.nesterov": ("--nesterov/--no-nesterov", bool),
    "optimizer.weight_decay": ("--weight-decay", float),
    "optimizer.betas": ("--betas", Numbers(float, "0.9,0.999")),
    "optimizer.rho": ("--rho", float),
    "optimizer.eps": ("--eps", float),
    "schedule.name": ("--lr-schedule", _options.LazyChoice(_names("schedule"))),
    "schedule.decay": ("--lr-decay", float),
    "schedule.factor": ("--lr-factor", float),
    "schedule.every": ("--lr-every", int),
    "schedule.final": ("--lr-final", float),
    "schedule.warmup": ("--lr-warmup", float),
    "schedule.start_divisor": ("--lr-start-divisor", float),
    "schedule.final_divisor": ("--lr-final-divisor", float),
    "schedule.monitor": ("--lr-monitor", _MONITORED),
    "schedule.patience": ("--lr-patience", int),
    "schedule.min_delta": ("--lr-min-delta", float),
    "schedule.cooldown": ("--lr-cooldown", int),
    "schedule.min_lr": ("--lr-min", float),
    "schedule.warmup_steps": ("--warmup-steps", int),
    "clipping.value": ("--clip-value", float),
    "clipping.norm": ("--clip-norm", float),
    "clipping.global_norm": ("--clip-global-norm", float),
    "loss.label_smoothing": ("--label-smoothing", float),
    "loss.class_weights": ("--class-weights", Numbers(float, "balanced|1,2,3", "balanced")),
    "training.epochs": ("--epochs", _AT_LEAST_1),
    "training.batch_size": ("--batch-size", _AT_LEAST_1),
    "training.accumulate": ("--accumulate", _AT_LEAST_1),
    "training.seed": ("--seed", click.IntRange(min=0)),
    "training.threads": ("--threads", _AT_LEAST_1),
    "training.backend": ("--backend", click.Choice(["numba", "numpy"])),
    "training.dtype": ("--dtype", click.Choice(["float32", "float64"])),
    "training.precision": ("--precision", click.Choice(["full", "bf16"])),
    "stopping.patience": ("--patience", click.IntRange(min=0)),
    "stopping.monitor": ("--monitor", _MONITORED),
    "stopping.min_delta": ("--min-delta", float),
}


class GroupedCommand(click.Command):
    """A command whose help shows the flags of each table of settings under a heading of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups: first the command's own options."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            table, dot, _ = (param.name or "").partition("__")
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
                groups.setdefault(table.capitalize() if dot else "Options", []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags; the command gets them as keywords for `changes`, absent ones as None."""
    return _with(FLAGS, command)


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but only with what describes a network whose name and weights are known."""
    known = ("network.name", "network.init")
    return _with([key for key in FLAGS if key.startswith("network.") and key not in known], command)


def rate_test_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but without what a test of the learning rate replaces by its own, or has not."""
    without = ("schedule.", "optimizer.learning_rate", "training.epochs", "augmentation.", "stopping.")
    return _with([key for key in FLAGS if not key.startswith(without)], command)


def _with(keys: Iterable[str], command: Callable[..., Any]) -> Callable[..., Any]:
    for key in reversed(list(keys)):
        flag, kind = FLAGS[key]
        command = click.option(flag, key.replace(".", "__"), type=kind, default=None, help=NOTES[key])(command)
    return command


def changes(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given, by dotted name."""
    return {name.replace("__", "."): value for name, value in flags.items() if value is not None}


def override(settings: Settings, wanted: Mapping[str, Any]) -> Settings:
    """Settings with what the flags say; what they get wrong is a wrong call, said of the flag."""
    try:
        return settings.override(wanted)
    except (TypeError, ValueError) as error:
        message = str(error).removeprefix("Settings: ")
        key, space, rest = message.partition(" ")
        flag = FLAGS[key][0].partition("/")[0] if key in FLAGS else key
        raise click.UsageError(f"{flag}{space}{rest}") from error
