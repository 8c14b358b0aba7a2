"""The table of settings that says what a network learns from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from fastnn import _checks, datasets
from fastnn._tables import Table, setting
from fastnn._typing import Pair
from fastnn.datasets import Dataset


def _word(owner: str, name: str, value: object) -> str:
    _checks.instance(owner, name, value, str, "a text")
    return str(value)


def _flag_or_default(owner: str, name: str, value: object) -> bool | Literal[""]:
    return "" if isinstance(value, str) and not value else _checks.flag(owner, name, value)


def _image_size(owner: str, name: str, value: object) -> Pair | tuple[()]:
    size = _checks.sizes(owner, name, value)
    return _checks.pair(owner, name, size[0] if len(size) == 1 else size, 1) if size else ()


@dataclass(frozen=True)
class DataSettings(Table):
    """What the network learns from. Empty values leave the choice to `datasets.load`, and to `run.build` for
    standardize."""

    title: ClassVar[str] = "data"
    dataset: str = setting("digits", _word)
    data_dir: str = setting("", _word)
    split: str = setting("", _word)
    validation_split: float = setting(0.0, partial(_checks.number, minimum=0, below=1))
    image_size: Pair | tuple[()] = setting((), _image_size)
    colour: bool | Literal[""] = setting("", _flag_or_default)
    image_form: Literal["", "plain", "mnist"] = setting("", partial(_checks.choice, allowed=("", "plain", "mnist")))
    label_column: str = setting("", _word)
    standardize: bool | Literal[""] = setting("", _flag_or_default)

    def load(self, seed: int) -> Dataset:
        """Read them. Raises DataError, and ValueError for what does not suit these data."""
        return datasets.load(
            self.dataset,
            self.data_dir or None,
            image_size=self.image_size or None,
            colour=None if self.colour == "" else self.colour,
            form=self.image_form or None,
            label_column=self.label_column or None,
            split=self.split or None,
            seed=seed,
        )
