"""The two kinds of tables that settings consist of: `Table` has fixed keys, `Named` has those of its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _checks

if TYPE_CHECKING:
    from typing_extensions import Self

OWNER = "Settings"
Check = Callable[[str, str, Any], Any]


def setting(default: Any, check: Check) -> Any:
    """A key of a Table. check(owner, name, value) returns the value in its type, or raises."""
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True)
class Table:
    """Base class of tables whose fields are the keys, each made by `setting`."""

    title: ClassVar[str]

    def __post_init__(self) -> None:
        for key in fields(self):
            value = key.metadata["check"](OWNER, f"{self.title}.{key.name}", getattr(self, key.name))
            object.__setattr__(self, key.name, value)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From keys and values; a key that is absent has its default."""
        for key in values:
            if key not in (known := [each.name for each in fields(cls)]):
                raise unknown(f"{cls.title}.{key}", known)
        return cls(**values)

    def items(self) -> dict[str, Any]:
        """All keys and values."""
        return {key.name: getattr(self, key.name) for key in fields(self)}


@dataclass(frozen=True)
class Named:
    """Base class of tables whose `name`, a word of a closed table, decides which `keywords` there are.

    After the construction `keywords` has all of them, in their types.
    """

    title: ClassVar[str]
    name: str
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _checks.choice(OWNER, f"{self.title}.name", self.name, self.names())
        _checks.instance(OWNER, f"{self.title}.keywords", self.keywords, Mapping, "a mapping")
        usual = self.usual(self.name)
        for key in self.keywords:
            if key not in usual:
                raise unknown(f"{self.title}.{key}", usual, f" of {self.name}")
        for key, value in {**usual, **self.keywords}.items():
            if value is Parameter.empty:
                raise ValueError(f"{OWNER}: {self.title}.{key} is missing: {self.name} needs it")
        complete = {key: _like(self.keywords.get(key, value), value) for key, value in usual.items()}
        object.__setattr__(self, "keywords", complete)
        with self._renamed():
            self.check()

    @classmethod
    def names(cls) -> Iterable[str]:
        """The words that name may be."""
        raise NotImplementedError

    @classmethod
    def usual(cls, name: str) -> dict[str, Any]:
        """The keywords of a name with their defaults; Parameter.empty where there is none."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise "Owner: keyword must ..." for a wrong keyword."""
        raise NotImplementedError

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From keys and values; a key that is absent has its default."""
        rest = dict(values)
        return cls(**({"name": rest.pop("name")} if "name" in rest else {}), keywords=rest)

    def items(self) -> dict[str, Any]:
        """All keys and values, name first."""
        return {"name": self.name, **self.keywords}

    @contextmanager
    def _renamed(self) -> Iterator[None]:
        """What a constructor says of its keyword, said of the key."""
        try:
            yield
        except (TypeError, ValueError) as error:
            raise type(error)(f"{OWNER}: {self.title}.{str(error).partition(': ')[2]}") from error


def keywords(function: Callable[..., Any], *without: str) -> dict[str, Any]:
    """The named parameters of a function or constructor with their defaults, but for some."""
    return {
        each.name: each.default
        for each in signature(function).parameters.values()
        if each.kind is not Parameter.VAR_KEYWORD and each.name not in without
    }


def unknown(name: str, known: Iterable[str], of: str = "") -> ValueError:
    """The error for a dotted name whose last part is none of the known ones."""
    from difflib import get_close_matches

    title, dot, key = name.rpartition(".")
    known = list(known)
    close = get_close_matches(key, known, n=1)
    advice = f"did you mean {title}{dot}{close[0]}?" if close else f"there is {', '.join(known) or 'none'}"
    return ValueError(f"{OWNER}: {name} is no setting{of}: {advice}")


def _like(value: Any, default: Any) -> Any:
    """A value from a file or the command line in the form of its default."""
    if isinstance(value, list):
        return tuple(value)
    return float(value) if isinstance(default, float) and type(value) is int else value
