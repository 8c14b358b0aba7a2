"""How a docstring of fastnn becomes a piece of a page.

Docstrings are plain prose that describes arguments as "in_features: C; None takes it from the first input." Here they
become lists, words in backticks become links, and the stars of formulas stay stars.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection
from typing import Any

import griffe

_LABELS = "Attributes", "Raises", "Returns", "Yields"
Link = Callable[[str], str]


class Prose(griffe.Extension):
    """Rewrites the docstring of every class and function of the package when it is asked for."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Rewrite all docstrings below a package, once everything is loaded."""
        self._rewrite(pkg)

    def _rewrite(self, thing: griffe.Object | griffe.Alias) -> None:
        if thing.is_alias:
            return
        if isinstance(thing, griffe.Class):
            _spell_out(thing)
        if thing.docstring is not None:
            text = thing.docstring.value
            thing.docstring.value = markdown(text, _arguments(thing), lambda word: _target(thing, word))
        for member in thing.members.values():
            self._rewrite(member)


def _spell_out(cls: griffe.Class) -> None:
    """Put the keywords of the base classes in the place of **common."""
    init = cls.members.get("__init__")
    if not isinstance(init, griffe.Function):
        return
    rest = next((p for p in init.parameters if p.kind is griffe.ParameterKind.var_keyword), None)
    if rest is None:
        return
    del init.parameters[rest.name]
    for base in cls.mro():
        for parameter in base.parameters:
            if parameter.kind is griffe.ParameterKind.keyword_only and parameter.name not in init.parameters:
                init.parameters.add(parameter)


def markdown(text: str, arguments: Collection[str], target: Link) -> str:
    """A docstring's text as Markdown. target: the full name of what a word in backticks means, or ""."""
    return "\n\n".join(
        _paragraph(" ".join(lines.split()), arguments, target) for lines in re.split(r"\n\s*\n", text.strip())
    )


def _paragraph(text: str, arguments: Collection[str], target: Link) -> str:
    names = "|".join(map(re.escape, arguments)) or "(?!)"
    # At the start of a sentence: "x: ", "dtype, backend: ", or one of the labels.
    start = re.compile(rf"(?:^|(?<=[.)] ))(?:((?:{names})(?:, (?:{names}))*): |(?=(?:{'|'.join(_LABELS)})\b))")
    found = list(start.finditer(text))
    bounds = [0, *(match.start() for match in found), len(text)]
    blocks = [_inline(text[: bounds[1]].strip(), target)] if bounds[1] else []
    for match, stop in zip(found, bounds[2:], strict=True):
        words = _inline(text[match.end() : stop].strip(), target)
        if match[1]:
            label = ", ".join(f"`{name}`" for name in match[1].split(", "))
            blocks.append(f"- {label}: {words}")
        else:
            blocks.append(re.sub(r"^(\w+)", r"**\1**", words))
    return "\n\n".join(blocks)


def _inline(text: str, target: Link) -> str:
    """Words in backticks as code, with a link where there is a page; everything else as it stands."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(_code(part, target) if part.startswith("`") else _escaped(part) for part in parts)


def _code(part: str, target: Link) -> str:
    name = target(part.strip("`"))
    return f'<autoref identifier="{name}" optional>{part}</autoref>' if name else part


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_\[\]#])", r"\\\1", html.escape(text, quote=False))


def _arguments(thing: griffe.Object | griffe.Alias) -> list[str]:
    return [p.name.lstrip("*") for p in getattr(thing, "parameters", ()) if p.name != "self"]


def _target(thing: griffe.Object | griffe.Alias, word: str) -> str:
    name = word.removesuffix("()")
    if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        return ""
    first, *rest = name.split(".")
    if first == thing.package.name:
        return name
    try:
        return ".".join([thing.resolve(first), *rest])
    except griffe.NameResolutionError:
        return ""
