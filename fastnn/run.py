"""A training run, from its settings to its results: what `fastnn train` does, for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import _checks, report
from fastnn._folder import Best, RunFolder
from fastnn._typing import Array
from fastnn.callbacks import Callback
from fastnn.datasets._split import stratified
from fastnn.errors import DataError
from fastnn.layers import Standardize
from fastnn.losses import SoftmaxCrossEntropy
from fastnn.model import Sequential
from fastnn.settings import Settings
from fastnn.training import History

Part = tuple[Array, Array]


@dataclass(frozen=True)
class Data:
    """The arrays of a run: samples x (N, ...) with labels y (N,) for each purpose, and the classes' names.

    Without a validation part the test images validate. metadata: what the model keeps of them.
    """

    training: Part
    validation: Part | None
    test: Part
    class_names: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def things(self) -> str:
        """What the samples are called."""
        return "images" if self.training[0].ndim == 4 else "samples"

    @property
    def validates(self) -> str:
        """What measures an epoch and chooses the best one: "validation" or "test"."""
        return "test" if self.validation is None else "validation"

    def head(self, rows: int) -> Data:
        """The first rows of each part."""
        (x, y), (x_test, y_test), some = self.training, self.test, self.validation
        validation = None if some is None else (some[0][:rows], some[1][:rows])
        return replace(
            self, training=(x[:rows], y[:rows]), validation=validation, test=(x_test[:rows], y_test[:rows])
        )


@dataclass(frozen=True)
class Run:
    """What a run has reached.

    model has the weights of the best epoch, best_epoch (from 1), as the data that `data.validates` names measured it;
    loss and accuracy are the best model's on the test images. folder: where the files are, None without any. notes: a
    line for what could not be written to it.
    """

    settings: Settings
    data: Data
    model: Sequential
    history: History
    best_epoch: int
    loss: float
    accuracy: float
    folder: Path | None
    notes: tuple[str, ...] = ()


def load(settings: Settings) -> Data:
    """Read the data of settings, and take the validation images, the same share of every class, from the training's.

    Raises DataError for missing or damaged files and ValueError for what there is not.
    """
    found, share = settings.data.load(settings.training.seed), settings.data.validation_split
    for part, use in ((found.train, "train"), (found.test, "test")):
        if not len(part[0]):
            raise DataError(f"{settings.data.dataset}: the split leaves no samples to {use} with")
    data = Data(found.train, found.validation, found.test, found.class_names, found.metadata)
    if not share:
        return data
    if data.validation is not None:
        raise ValueError(f"{settings.data.dataset}: has a validation part already: say the shares of all by split")
    x, y = data.training
    kept, _, taken = stratified(y, (1 - share, 0.0, share), settings.training.seed)
    if not len(taken):
        raise ValueError(f"{settings.data.dataset}: validation_split={share} leaves nothing to validate with")
    return replace(data, training=(x[kept], y[kept]), validation=(x[taken], y[taken]))


def build(settings: Settings, data: Data) -> Sequential:
    """The untrained network of settings for data, compiled."""
    (x, _), names, how = data.training, data.class_names, settings.training
    shape, standardize = x.shape[1:], settings.data.standardize
    if len(shape) == 1 and settings.network.name != "mlp":
        raise DataError(
            f"{settings.data.dataset}: holds rows of {shape[0]} numbers, no images: train the network mlp "
            "(--model mlp) or, if these are pixels, say the size of the images (--image-size)"
        )
    layers = settings.network.layers(shape, len(names))
    if standardize or (standardize == "" and x.ndim == 2):
        layers.insert(0, Standardize.from_data(x))
    model = Sequential(
        layers, shape, dtype=how.dtype, backend=how.backend, precision=how.precision, seed=how.seed, class_names=names
    )
    weights = settings.loss.class_weights
    if weights == "balanced":
        weights = _balanced(data.training[1], len(names))
    loss = SoftmaxCrossEntropy(weights or None, settings.loss.label_smoothing, dtype=how.dtype, backend=how.backend)
    model.compile(settings.optimizer.make(settings.schedule, settings.clipping), loss)
    model.metadata.update(data.metadata, dataset=settings.data.dataset, network=settings.network.name)
    return model


def train(
    settings: Settings,
    out: str | PathLike[str] | None = None,
    *,
    data: Data | None = None,
    callbacks: Sequence[Callback] = (),
    verbose: bool = True,
) -> Run:
    """Do the run that settings describe: the same settings give the same bits.

    out: folder for config.toml, environment.json, history.csv, model.safetensors (the best epoch's), last.safetensors
    and, where Matplotlib is installed, pictures of the training and of the best model on the test images; made if need
    be; None writes nothing. data: what `load` returned for the same settings, so that several runs read it once.
    callbacks, verbose: see `Sequential.fit`. Ctrl-C leaves in the folder what was reached.
    """
    _checks.instance("train", "settings", settings, Settings, "Settings")
    data = load(settings) if data is None else data
    model = build(settings, data)
    how, best = settings.training, Best()
    folder = None if out is None else RunFolder(Path(out), settings, best)
    own = [*settings.schedule.callbacks(), best, *([] if folder is None else [folder]), *settings.stopping.callbacks()]
    # A divergence is reported as an error; NumPy need not warn of it as well.
    with _threads(settings), np.errstate(over="ignore", invalid="ignore"):
        try:
            history = model.fit(
                *data.training, epochs=how.epochs, batch_size=how.batch_size,
                validation_data=data.validation or data.test, callbacks=[*own, *callbacks], verbose=verbose,
                augmentation=settings.augmentation.make(how.seed), accumulate=how.accumulate,
            )  # fmt: skip
        except KeyboardInterrupt:
            if folder is not None:
                folder.save_last()
            raise
        best.restore()
        loss, accuracy = best.row["val_loss"], best.row["val_accuracy"]
        if data.validation is not None:
            loss, accuracy = model.evaluate(*data.test)
        if folder is None:
            return Run(settings, data, model, history, best.epoch, loss, accuracy, None)
        notes = tuple(report.write_pictures(folder.folder, model, history, *data.test, best=best.epoch))
    return Run(settings, data, model, history, best.epoch, loss, accuracy, folder.folder, notes)


def try_out(settings: Settings, callbacks: Sequence[Callback] = ()) -> Run:
    """Two batches through everything that `train` does, in a folder that is removed again: raises what would fail."""
    import tempfile

    small = replace(settings, training=replace(settings.training, epochs=1))
    data = load(settings).head(2 * settings.training.batch_size)
    with tempfile.TemporaryDirectory(prefix="fastnn-") as folder:
        run = train(small, folder, data=data, callbacks=callbacks, verbose=False)
    return replace(run, folder=None)


def _threads(settings: Settings) -> AbstractContextManager[None]:
    if settings.training.backend != "numba" or not settings.training.threads:
        return nullcontext()
    from fastnn._threads import threads

    return threads(settings.training.threads)


def _balanced(y: Array, classes: int) -> tuple[float, ...]:
    """Weights that give every class of y (N,) the same sum."""
    counts = np.bincount(y, minlength=classes)
    return tuple(float(len(y) / (classes * count)) if count else 0.0 for count in counts)
