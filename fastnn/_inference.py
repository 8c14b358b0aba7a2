"""Outputs and probabilities of a model for batches of one size, recorded and repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fastnn._backend import operations
from fastnn._recorded import Recorded
from fastnn._typing import Array
from fastnn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from fastnn.reference.activation import SIGMOID

if TYPE_CHECKING:
    from fastnn.model import Sequential


class Inference(Recorded):
    """A model in inference mode on batches of `size` rows; with `probabilities`, what its loss makes of the output."""

    def __init__(self, model: Sequential, size: int, probabilities: bool) -> None:
        super().__init__(model)
        self.size = size
        self._repeat_batches: Callable[..., None]
        self._head = type(model.loss) if probabilities else None

    def run(self, x: Array, out: Array) -> None:
        """out (B * size, *output_shape) = f(x (B * size, *input_shape)), both C-contiguous."""
        done = 0
        while done < len(x):
            if self._is_recorded():
                self._repeat(x[done:] if done else x, out[done:] if done else out)
                return
            self._through_python(x[done : done + self.size], out[done : done + self.size])
            done += self.size

    def _through_python(self, x: Array, out: Array) -> None:
        """One batch, recorded if that is possible."""
        model, was_training = self.model, self.model.training
        model.eval()
        try:
            if not self._is_recordable():
                self._pass(x, out)
                return
            tape, on_tape = self._tape()
            with on_tape:
                self._pass(x, out)
        finally:
            model.switch(was_training)
        model.release()
        self._keep(tape, [x, out])
        from fastnn.kernels._tape import repeat_batches

        self._repeat_batches = repeat_batches  # looked up once: an import takes as long as a small layer

    def _rehearse(self) -> None:
        model = self.model
        assert model.input_shape is not None
        model.eval()
        x, out = (np.zeros((self.size, *shape), model.dtype) for shape in (model.input_shape, model.output_shape))
        self._pass(x, out)

    def _pass(self, x: Array, out: Array) -> None:
        ops, y = operations(self.model.backend), self.model.pass_forward(x)
        if self._head is SoftmaxCrossEntropy:
            ops.softmax_forward(y, out)
        elif self._head is BinaryCrossEntropy:
            ops.activation_forward(SIGMOID, 0.0, y.reshape(-1), out.reshape(-1))
        else:
            ops.gather(y.reshape(self.size, -1), np.arange(self.size), out.reshape(self.size, -1))

    def _repeat(self, x: Array, out: Array) -> None:
        tape = self._recording
        self._repeat_batches(tape.rows, tape.words, tape.places, len(x) // self.size, x.reshape(-1), out.reshape(-1))
