"""A network of dense layers, found from the shapes of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from fastnn import layers, losses
from fastnn._typing import Array, Backend, Shape
from fastnn.errors import CheckpointError
from fastnn.formats.names import Module
from fastnn.layers import activation as activations
from fastnn.model import Sequential

OWNER = "import_model"
LAYOUTS = ("in-out", "out-in")
_LINEAR = ("linear", "none", "identity")


def layout_of(
    modules: Sequence[Module], layout: str | None, inputs: int | None, outputs: int | None, *, pytorch: bool
) -> str:
    """"in-out" for weights (in, out), "out-in" for (out, in): the one in which every layer fits the next one.

    layout: None, or the only one to look at. inputs, outputs: of the whole network, if known. Where both fit,
    PyTorch's is "out-in"; else the shape of the biases decides, (1, out) or (out, 1). Raises CheckpointError
    where none fits, naming the layers, and ValueError where nothing decides.
    """
    usual = "out-in" if pytorch else "in-out"
    wrong = {each: _mismatch(modules, each, inputs, outputs) for each in LAYOUTS if layout in (None, each)}
    fitting = [each for each, problem in wrong.items() if problem is None]
    if not fitting:
        hint = "; if the modules run in another order than that of their names, give the order" if pytorch else ""
        raise CheckpointError(f"{wrong[layout or usual]}{hint}")
    if len(fitting) == 1 or pytorch:
        return usual if usual in fitting else fitting[0]
    columns = {module.arrays["bias"].shape[1] == 1 for module in modules if _is_matrix(module.arrays.get("bias"))}
    if len(columns) != 1:
        raise ValueError(f"{OWNER}: layout must be in-out or out-in where the shapes fit both, got none")
    return LAYOUTS[columns.pop()]


def sizes(module: Module, layout: str) -> tuple[int, int]:
    """(in, out) of a layer."""
    rows, columns = module.arrays["weight"].shape
    return (rows, columns) if layout == "in-out" else (columns, rows)


def check(modules: Sequence[Module]) -> None:
    """Raises CheckpointError unless all are dense layers."""
    for module in modules:
        if module.norm or module.arrays["weight"].ndim != 2:
            kind = "belongs to a batch norm" if module.norm else f"has shape {module.arrays['weight'].shape}"
            raise CheckpointError(
                f"{module.names['weight']} {kind}, but only dense layers of two axes follow from their shapes; "
                "name the network, or a model like it"
            )


def build(
    modules: Sequence[Module],
    layout: str,
    words: Sequence[str] | None,
    input_shape: Shape | None,
    *,
    dtype: Any,
    backend: Backend,
    class_names: Sequence[str] | None,
) -> Sequential:
    """The network, with weights of its own, and its loss; words: one activation for each layer.

    A last softmax is left out, because SoftmaxCrossEntropy takes logits, and so is a last sigmoid of one
    output, with BinaryCrossEntropy; a last linear layer of several outputs gives logits too. Anything else
    is trained with MeanSquaredError. Raises ValueError for unknown or missing words.
    """
    if words is None or isinstance(words, str) or len(words) != len(modules):
        names = ", ".join(module.name for module in modules)
        got = repr(words) if words is None or isinstance(words, str) else len(words)
        raise ValueError(f"{OWNER}: activations must be {len(modules)} names, one for each of {names}, got {got}")
    stack: list[layers.Layer] = []
    for module, word in zip(modules, words, strict=True):
        stack += [layers.Dense(*sizes(module, layout), bias="bias" in module.arrays), *_activation(word)]
    inputs, outputs = sizes(modules[0], layout)[0], sizes(modules[-1], layout)[1]
    loss = _loss(words[-1], outputs, dtype=dtype, backend=backend)
    if not isinstance(loss, losses.MeanSquaredError) and words[-1] not in _LINEAR:
        stack.pop()
    shape = (inputs,) if input_shape is None else input_shape
    if len(shape) > 1:
        stack.insert(0, layers.Flatten())
    model = Sequential(stack, shape, dtype=dtype, backend=backend, class_names=class_names)
    model.compile(loss=loss)
    return model


def _activation(word: str) -> list[layers.Layer]:
    if word in _LINEAR:
        return []
    if word not in activations.NAMES:
        known = ", ".join([*activations.NAMES, *_LINEAR])
        raise ValueError(f"{OWNER}: activations must be of {known}, got {word!r}")
    kind, keywords = activations.NAMES[word]
    return [kind(**keywords)]


def _loss(word: str, outputs: int, **common: Any) -> losses.Loss:
    if word in ("softmax", "log_softmax", *_LINEAR) and outputs > 1:
        return losses.SoftmaxCrossEntropy(**common)
    if word == "sigmoid" and outputs == 1:
        return losses.BinaryCrossEntropy(**common)
    return losses.MeanSquaredError(**common)


def _mismatch(modules: Sequence[Module], layout: str, inputs: int | None, outputs: int | None) -> str | None:
    """What does not fit, in words."""
    for module in modules:
        biases = module.arrays.get("bias")
        size = sizes(module, layout)[1]
        if biases is not None and (biases.size != size or prod(biases.shape) != max(biases.shape, default=1)):
            return f"{module.names['bias']} must have {size} values for {_written(module)}, got shape {biases.shape}"
    for one, next_one in zip(modules, modules[1:], strict=False):
        if sizes(one, layout)[1] != sizes(next_one, layout)[0]:
            return f"{_written(next_one)} does not fit after {_written(one)}"
    if inputs is not None and sizes(modules[0], layout)[0] != inputs:
        return f"{_written(modules[0])} does not fit samples of {inputs} values"
    if outputs is not None and sizes(modules[-1], layout)[1] != outputs:
        return f"{_written(modules[-1])} does not fit {outputs} outputs"
    return None


def _written(module: Module) -> str:
    return f"{module.names['weight']} {module.arrays['weight'].shape}"


def _is_matrix(biases: Array | None) -> bool:
    return biases is not None and biases.ndim == 2 and biases.size > 1
