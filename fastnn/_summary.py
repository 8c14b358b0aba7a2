"""The table that `Sequential.summary` prints."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn._typing import Shape
from fastnn.layers._base import Layer

_HEAD = ("layer", "output shape", "parameters", "multiply-adds")


def summary_text(layers: Sequence[Layer], input_shape: Shape) -> str:
    """One line per layer and a total; multiply-adds are those of forward for one sample."""
    rows = [("input", _written(input_shape), "", "")]
    shape, parameters, multiply_adds = input_shape, 0, 0
    for number, layer in enumerate(layers):
        work = layer.multiply_adds(shape)
        shape = layer.output_shape(shape)
        parameters += layer.parameter_count
        multiply_adds += work
        rows.append((f"{number} {_name(layer)}", _written(shape), f"{layer.parameter_count:,}", f"{work:,}"))
    total = ("total", "", f"{parameters:,}", f"{multiply_adds:,}")
    widths = [max(len(row[column]) for row in (_HEAD, *rows, total)) for column in range(len(_HEAD))]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([_line(_HEAD, widths), rule, *(_line(row, widths) for row in rows), rule, _line(total, widths)])


def _name(layer: Layer) -> str:
    activation = getattr(layer, "activation", None)
    return type(layer).__name__ + (f" + {type(activation).__name__}" if activation is not None else "")


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, shape, *numbers = (
        cell.ljust(width) if column < 2 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((name, shape, *numbers)).rstrip()


def _written(shape: Shape) -> str:
    return f"(N, {', '.join(map(str, shape))})"
