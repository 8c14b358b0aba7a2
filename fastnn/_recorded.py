"""Work of a model that is recorded once and then repeated in one compiled call.

The first time it runs through the layers' Python, while a tape writes down the calls of kernels (`kernels/_tape.py`).
The recording holds for as long as nothing changes that it contains: settings of layers, loss and optimizer, the
optimizer's memory, the parameters' place. What runs through Python each time: the NumPy backend, and layers, losses or
optimizers that are not fastnn's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import is_
from typing import TYPE_CHECKING, Any

from fastnn._ahead import helped
from fastnn._backend import recording
from fastnn._typing import Array
from fastnn.layers import TABLE, Layer
from fastnn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from fastnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fastnn.model import Sequential

Part = Layer | Loss | Optimizer

_KNOWN = {*TABLE.values(), SoftmaxCrossEntropy, BinaryCrossEntropy, MeanSquaredError, SGD, RMSprop, Adam, AdamW}
# What changes in use (the optimizer's rate and count are live numbers of the tape), and what is fixed once it is built
_NO_SETTINGS = {
    *("inputs", "output", "dinputs", "training", "total", "scale", "learning_rate", "decay", "iterations"),
    *("scratch", "seed", "init", "parameter_names", "state_names", "dtype", "_in_model"),
    *("in_features", "out_features", "in_channels", "out_channels", "num_features"),
    *("kernel_size", "stride", "padding", "dilation", "groups", "pool_size", "ceil_mode"),
}


class Recorded(ABC):
    """Base class: the recording of one kind of work of a model, if there is one."""

    def __init__(self, model: Sequential) -> None:
        self.model = model
        self._recording: Any = None
        self._watched: tuple[tuple[Any, ...], ...] = ((), (), ())  # attributes, names, values

    def _parts(self) -> Iterator[Part]:
        """What the work goes through."""
        return layers_of(self.model.layers)

    def _is_recorded(self) -> bool:
        if self._recording is None:
            return False
        attributes, names, values = self._watched
        if not all(map(is_, map(dict.get, attributes, names), values)):  # no loop in Python: every step comes here
            self._recording = None
        return self._recording is not None

    def _is_recordable(self) -> bool:
        parts = [part for part in self._parts() if not (isinstance(part, Optimizer) and part.backend is None)]
        return all(type(part) in _KNOWN and part.backend == "numba" for part in (self.model.layers[0], *parts))

    def _tape(self) -> tuple[Any, AbstractContextManager[None]]:
        """A new tape, and the context in which operations run on it."""
        from fastnn.kernels._tape import Tape

        tape = Tape()
        return tape, self._running_on(tape)

    @contextmanager
    def _running_on(self, tape: Any) -> Iterator[None]:
        with recording(tape), helped(self):
            yield

    def draft(self) -> list[tuple[Any, tuple[Any, ...]]]:
        """The operations of the work and their arguments, of which none was run: their arrays hold anything."""
        from fastnn.kernels._tape import Draft

        draft = Draft()
        with recording(draft):
            self._rehearse()
        return [(operation, arguments) for operation, _, arguments in draft.kept]

    @abstractmethod
    def _rehearse(self) -> None:
        """Go through the work once, on no data, where operations do nothing."""

    def _keep(self, tape: Any, live_arrays: Sequence[Array]) -> None:
        self._recording = tape.finish(live_arrays)
        self._watched = tuple(zip(*self._settings(), strict=True))

    def calls(self) -> list[tuple[str, tuple[Any, ...]]]:
        """The recorded operations in their order: name and arguments. Empty where nothing is recorded."""
        return [] if self._recording is None else self._recording.tape.calls()

    def _settings(self) -> Iterator[tuple[dict[str, Any], str, Any]]:
        """Everything that the tape contains and that may change, as it is now: (attributes, name, value)."""
        for part in self._parts():
            for name, value in vars(part).items():
                if name == "_memories" or (name not in _NO_SETTINGS and (name[0] != "_" or isinstance(value, bool))):
                    yield vars(part), name, value
        yield vars(self.model), "parameters", self.model.parameters


def layers_of(layers: Sequence[Layer]) -> Iterator[Layer]:
    """The layers, and those inside them: of a skip connection, and the activation of a dense layer or convolution."""
    for layer in layers:
        yield layer
        yield from layers_of(getattr(layer, "layers", []))
        if (activation := getattr(layer, "activation", None)) is not None:
            yield activation
