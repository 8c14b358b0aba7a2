"""Which layer an array belongs to and what it is there: read from its name, or from its place in a pickle.

NumPy scripts: one word for the role and one number for the layer, in any spelling and nesting: `W1`,
`layer_1.weights`, `weights[0]`, `[{"W": ...}, ...]`. PyTorch: `<module>.weight`, `<module>.running_mean`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastnn._typing import Array
from fastnn.errors import CheckpointError

if TYPE_CHECKING:
    from fastnn.formats.pickles import Place

ROLES = ("weight", "bias", "running_mean", "running_var")  # of one module, as PyTorch names them
_WORDS = {
    **dict.fromkeys(("w", "weight", "weights", "kernel", "kernels", "coef", "coefs"), "weight"),
    **dict.fromkeys(("b", "bias", "biases", "intercept", "intercepts"), "bias"),
}
_NORM_WORDS = {"gamma": "weight", "beta": "bias", "running_mean": "running_mean", "running_var": "running_var"}
_NEUTRAL = {"l", "layer", "layers", "dense", "fc", "linear", "params", "parameters", "model", "network", "net"}
_WANTED = "names must be W1, b1, W2, b2, ... or the like"


@dataclass
class Module:
    """The arrays of one layer by role, one of ROLES, and how the file calls them."""

    name: str
    norm: bool
    arrays: dict[str, Array] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def put(self, role: str, name: str, array: Array) -> None:
        """Take an array. CheckpointError if there is one of this role already."""
        if role in self.arrays:
            raise CheckpointError(f"{self.names[role]} and {name} mean the same layer")
        self.arrays[role], self.names[role] = array, name


def by_pytorch(arrays: Iterable[tuple[Place, Array]]) -> bool:
    """Whether the names are those of a PyTorch state dict."""
    return any(len(place) == 1 and str(place[0]).endswith((".weight", ".running_mean")) for place, _ in arrays)


def pytorch_modules(arrays: Iterable[tuple[Place, Array]], order: Sequence[str] | None = None) -> list[Module]:
    """Modules in natural order of their names ("conv2" before "conv10"), or in the given order."""
    found: dict[str, Module] = {}
    for place, array in arrays:
        name = _written(place)
        owner, _, role = name.rpartition(".")
        if role == "num_batches_tracked":
            continue
        if role not in ROLES:
            raise CheckpointError(f"{name} is no {', '.join(ROLES[:-1])} or {ROLES[-1]} of a layer")
        found.setdefault(owner, Module(owner, norm=False)).put(role, name, array)
    for module in found.values():
        module.norm = "running_mean" in module.arrays
        if module.norm != ("running_var" in module.arrays) or "weight" not in module.arrays:
            raise CheckpointError(f"{module.name} has only {' and '.join(module.arrays)}")
    if order is None:
        return sorted(found.values(), key=lambda module: _natural(module.name))
    if sorted(order) != sorted(found):
        names = ", ".join(sorted(found, key=_natural))
        raise ValueError(f"import_model: order must name each of {names} once, got {', '.join(order)}")
    return [found[name] for name in order]


def numpy_modules(arrays: Sequence[tuple[Place, Array]]) -> tuple[list[Module], list[str]]:
    """Modules in order of their numbers, and the names of the arrays that belong to none."""
    found: dict[tuple[bool, tuple[int, ...]], Module] = {}
    ignored = []
    counted = set()  # keys whose number is part of a name: there, none may be missing
    for place, array in arrays:
        word, numbers, by_name = _parsed(place)
        norm = word in _NORM_WORDS
        role = (_NORM_WORDS if norm else _WORDS).get(word)
        if role is None:
            ignored += [_written(place)] if array.ndim else []
            continue
        key = (norm, numbers)
        if by_name:
            counted.add(key)
        found.setdefault(key, Module("", norm)).put(role, _written(place), array)
    if not found:
        return _unnamed(arrays), []
    for norm in (False, True):
        _check_numbers([numbers for kind, numbers in sorted(counted) if kind == norm])
    modules = [found[key] for key in sorted(found, key=lambda key: key[1])]
    for module in modules:
        if "weight" not in module.arrays:
            raise CheckpointError(f"{next(iter(module.names.values()))} has no weights beside it")
        module.name = module.names["weight"]
    return modules, ignored


def _parsed(place: Place) -> tuple[str, tuple[int, ...], bool]:
    """("weight words", numbers, whether the only number is part of a name)."""
    words, numbers, by_name = [], [], False
    for part in place:
        for token in re.findall(r"[^\W\d_]+|\d+", str(part).lower()):
            if token.isdecimal():
                numbers.append(int(token))
                by_name = isinstance(part, str)
            elif token not in _NEUTRAL:
                words.append(token)
    return "_".join(words), tuple(numbers), by_name and len(numbers) == 1


def _check_numbers(keys: Sequence[tuple[int, ...]]) -> None:
    numbers = [number for (number,) in keys]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        missing = min(set(range(numbers[0], numbers[-1])) - set(numbers))
        raise CheckpointError(f"its arrays are numbered {', '.join(map(str, numbers))}: layer {missing} is missing")
    if numbers and numbers[0] > 1:
        raise CheckpointError(f"its arrays are numbered from {numbers[0]}; the first layer must be 0 or 1")


def _unnamed(arrays: Sequence[tuple[Place, Array]]) -> list[Module]:
    """Layers of arrays that only have places: [(W, b), ...], [W, b, W, b, ...] or ([W, ...], [b, ...])."""
    named = [_written(place) for place, _ in arrays if _parsed(place)[0]]
    pairs = [(_written(place), array) for place, array in arrays if array.ndim]
    if named or not pairs:
        raise CheckpointError(f"no weights found: {_WANTED}, got {', '.join(named[:5]) or 'no arrays'}")
    flat = [array.ndim == 1 for _, array in pairs]
    narrow = [array.ndim == 1 or 1 in array.shape for _, array in pairs]
    alternating = [bool(number % 2) for number in range(len(pairs))]
    for are_biases in (flat, narrow, alternating):
        weights = [pair for pair, is_bias in zip(pairs, are_biases, strict=True) if not is_bias]
        biases = [pair for pair, is_bias in zip(pairs, are_biases, strict=True) if is_bias]
        pairs_fit = (b.size in w.shape for (_, w), (_, b) in zip(weights, biases, strict=False))
        if len(biases) == len(weights) and all(pairs_fit):
            break
    else:
        weights, biases = pairs, []
    if any(array.ndim < 2 for _, array in weights):
        raise CheckpointError(f"its arrays do not say which are weights and which biases: {_WANTED}")
    modules = [Module(f"array {name}", False) for name, _ in weights]
    for role, found in (("weight", weights), ("bias", biases)):
        for module, (name, array) in zip(modules, found, strict=False):
            module.put(role, f"array {name}", array)
    return modules


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part or 0), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _written(place: Place) -> str:
    return ".".join(map(str, place))
