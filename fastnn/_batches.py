"""An epoch's mini-batches as training steps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from fastnn._step import Shares
from fastnn._targets import Targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn._typing import Array
    from fastnn.augment import Augmentation
    from fastnn.model import Sequential

_BLOCK = 0.05  # seconds between two looks at a Ctrl-C; steps without hooks run in such blocks
_GROWTH = 16  # of a block's steps beside those of the one before


class Batches:
    """Mini-batches of x (N, ...) and the targets, run as training steps of a model.

    The last batch is short when batch_size does not divide N. `accumulate` batches in a row make one update; the last
    group of an epoch may be short.
    """

    def __init__(
        self,
        model: Sequential,
        x: Array,
        targets: Targets,
        batch_size: int,
        augmentation: Augmentation | None = None,
        accumulate: int = 1,
    ) -> None:
        self.model, self.x, self.targets, self.augmentation = model, x, targets, augmentation
        self.size = min(batch_size, len(x))
        self.count = -(-len(x) // self.size)
        self.updates = -(-self.count // accumulate)
        self._accumulate = accumulate
        self._at_once = 1

    def run(self, order: Array | None, singly: bool, epoch: int = 0) -> Iterator[tuple[int, Array, Array]]:
        """Do an epoch's steps, in the given order of rows (a permutation, intp (N,)) or the data's own.

        Yields (rows of a batch, losses, accuracies) of one or several steps; one at a time when `singly`. A step whose
        loss is not finite is the last.
        """
        n, size = len(self.x), self.size
        shares = None if self._accumulate == 1 else self._shares(order)
        if self.augmentation is not None and order is None:
            order = np.arange(n)
        key = 0 if self.augmentation is None else self.augmentation.key(epoch)
        start = number = 0
        while start < n:
            rows = min(size, n - start)
            steps = 1 if singly else min(self._at_once, (n - start) // rows)
            stop = start + steps * rows
            began = time.perf_counter()
            x, y = self.x, self.targets.values
            part = None if order is None else order[start:stop]
            if part is None:
                x, y = x[start:stop], y[start:stop]
            work = self.model.steps(x, self.targets, rows, self.augmentation, shares is not None)
            work.key = key
            own = None if shares is None else shares.part(number, number + steps)
            losses, accuracies, done = work.run(x, y, part, steps, own)
            seconds = (time.perf_counter() - began) / steps
            self._at_once = max(1, min(_GROWTH * self._at_once, int(_BLOCK / seconds)))
            yield rows, losses[: done + 1], accuracies[: done + 1]
            start, number = stop, number + steps

    def _shares(self, order: Array | None) -> Shares:
        """Of every batch of an epoch: its share of its group's samples, as the loss weighs them."""
        samples = self.model.loss.sample_weights(self.targets.values)
        samples = samples if order is None else samples[order]
        batches = np.arange(self.count)
        begins = batches % self._accumulate == 0
        of_batch = np.add.reduceat(samples, batches * self.size)
        of_group = np.add.reduceat(of_batch, np.flatnonzero(begins))[batches // self._accumulate]
        shares = np.divide(of_batch, of_group, out=np.zeros(self.count), where=of_group > 0)
        return Shares(shares, begins.astype(np.int64), np.append(begins[1:], True))
