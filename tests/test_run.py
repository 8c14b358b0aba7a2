"""A run from its settings to its folder, on the embedded digits."""

from __future__ import annotations

import csv
import json
import platform

import numpy as np
import pytest
from backends import BACKENDS

import fastnn
from fastnn import Callback, Settings, datasets, run, train


def history(folder):
    return list(csv.DictReader((folder / "history.csv").read_text().splitlines()))


SMALL = Settings().override({
    "network.name": "mlp", "network.hidden": (16,), "network.dropout": 0.1, "training.epochs": 3,
    "training.batch_size": 100, "training.backend": "numpy", "optimizer.learning_rate": 0.02,
})  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return run.load(SMALL)


@pytest.fixture(scope="module")
def done(tmp_path_factory, data):
    return train(SMALL, tmp_path_factory.mktemp("run") / "new" / "folder", data=data, verbose=False)


class Interrupt(Callback):
    """Ctrl-C after some batches."""

    def __init__(self, batches):
        self.batches = batches

    def on_batch_end(self, batch, logs):
        self.batches -= 1
        if self.batches == 0:
            raise KeyboardInterrupt


class Weights(Callback):
    """The parameters after every epoch, and a validation accuracy that is made up."""

    def __init__(self, *accuracies):
        self.accuracies = accuracies
        self.seen = []

    def on_epoch_end(self, epoch, logs):
        self.seen.append(self.model.parameters.copy())
        logs["val_accuracy"] = self.accuracies[epoch]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer.name": "sgd", "optimizer.nesterov": True, "schedule.name": "step", "schedule.every": 1,
         "schedule.warmup_steps": 5, "clipping.global_norm": 0.5, "loss.label_smoothing": 0.1,
         "loss.class_weights": "balanced", "training.dtype": "float64", "data.validation_split": 0.1},
        {"schedule.name": "plateau", "schedule.patience": 0, "schedule.monitor": "accuracy", "schedule.min_delta": 1.0,
         "stopping.patience": 1, "training.accumulate": 3, "network.clip_pre_activations": 2},
        {"augmentation.shift": 1, "augmentation.rotate": 10, "augmentation.elastic": (8, 2), "augmentation.mixup": 0.2},
    ],
)  # fmt: skip
def test_the_folder_repeats_the_run_bit_for_bit(tmp_path, backend, changes):
    settings = SMALL.override({**changes, "training.epochs": 2, "training.backend": backend})
    first = train(settings, tmp_path / "a", verbose=False)
    again = train(Settings.read(tmp_path / "a" / "config.toml"), tmp_path / "b", verbose=False)
    np.testing.assert_array_equal(first.model.parameters, again.model.parameters)
    for name in ("config.toml", "model.safetensors", "last.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    other = train(settings.override({"training.seed": 1}), verbose=False)
    assert not np.array_equal(first.model.parameters, other.model.parameters)


def test_the_files(done):
    assert sorted(path.name for path in done.folder.iterdir()) == [
        "config.toml", "confusion.png", "curves.png", "environment.json", "filters.png", "history.csv",
        "last.safetensors", "model.safetensors", "top_losses.png",
    ]  # fmt: skip
    assert Settings.read(done.folder / "config.toml") == SMALL
    rows = history(done.folder)
    assert [{name: float(value) for name, value in row.items()} for row in rows] == done.history.rows()
    model = fastnn.load(done.folder / "model.safetensors", backend="numpy")
    np.testing.assert_array_equal(model.parameters, done.model.parameters)
    assert model.class_names == list("0123456789")
    assert model.metadata == {"dataset": "digits", "network": "mlp", "images": {"form": "mnist", "box": 1.0}}


def test_the_environment_names_versions_and_no_person(done):
    found = json.loads((done.folder / "environment.json").read_text())
    assert found["fastnn"] == fastnn.__version__
    assert found["numpy"] == np.__version__
    assert found["backend"] == "numpy"
    assert found["cores"] >= 1
    assert set(found) == {"fastnn", "python", "numpy", "numba", "llvmlite", "system", "cpu", "cores", "backend"}
    assert found["system"] == f"{platform.system()} {platform.machine()}"


def test_a_run_without_a_folder_writes_nothing(tmp_path, monkeypatch, data, done):
    monkeypatch.chdir(tmp_path)
    free = train(SMALL, data=data, verbose=False)
    assert free.folder is None
    np.testing.assert_array_equal(free.model.parameters, done.model.parameters)
    assert list(tmp_path.iterdir()) == []


def test_the_result_is_that_of_the_best_epoch(done, data):
    values = done.history.val_accuracy
    assert done.best_epoch == 1 + int(np.argmax(values))
    assert done.accuracy == max(values)
    # The run measured in batches of its own size: other sums, so other last bits.
    assert done.model.evaluate(*data.test) == (pytest.approx(done.loss, rel=1e-6), done.accuracy)


@pytest.mark.parametrize(("accuracies", "best"), [((0.5, 0.9, 0.7), 2), ((0.9, 0.5, 0.7), 1), ((0.1, 0.1, 0.1), 3)])
def test_the_best_and_the_last_model(tmp_path, data, accuracies, best):
    # The made-up accuracies come before the run's own callbacks see them; equal ones leave it to the loss, which falls.
    weights = Weights(*accuracies)
    model = run.build(SMALL, data)
    chosen = run.Best()
    folder = run.RunFolder(tmp_path, SMALL, chosen)
    model.fit(*data.training, epochs=3, validation_data=data.test, callbacks=[weights, chosen, folder], verbose=False)
    assert chosen.epoch == best
    saved = [fastnn.load(tmp_path / f"{name}.safetensors", backend="numpy") for name in ("model", "last")]
    np.testing.assert_array_equal(saved[0].parameters, weights.seen[best - 1])
    np.testing.assert_array_equal(saved[1].parameters, weights.seen[-1])
    chosen.restore()
    np.testing.assert_array_equal(model.parameters, weights.seen[best - 1])


def test_a_validation_part_chooses_and_the_test_images_are_left_for_the_end(data):
    settings = SMALL.override({"data.validation_split": 0.2})
    split = run.load(settings)
    assert (len(split.training[0]), len(split.validation[0])) == (1200, 300)
    assert (split.validates, data.validates) == ("validation", "test")
    counts = np.bincount(data.training[1])
    assert np.abs(np.bincount(split.validation[1]) - 0.2 * counts).max() < 1
    rows = np.concatenate([split.training[0], split.validation[0]]).reshape(1500, -1)
    assert sorted(map(bytes, rows)) == sorted(map(bytes, data.training[0].reshape(1500, -1)))
    result = train(settings, data=split, verbose=False)
    assert result.history.val_accuracy[result.best_epoch - 1] == result.model.evaluate(*split.validation)[1]
    assert (result.loss, result.accuracy) == result.model.evaluate(*split.test)


def test_the_loss_has_its_settings(data):
    balanced = run.build(SMALL.override({"loss.class_weights": "balanced", "loss.label_smoothing": 0.2}), data)
    weights, counts = balanced.loss.class_weights, np.bincount(data.training[1])
    np.testing.assert_allclose(weights * counts, len(data.training[1]) / 10)
    assert balanced.loss.label_smoothing == 0.2
    given = run.build(SMALL.override({"loss.class_weights": list(range(10))}), data)
    assert given.loss.class_weights.tolist() == list(range(10))
    assert run.build(SMALL, data).loss.class_weights is None
    with pytest.raises(ValueError, match=r"^Sequential: class_weights must be 10 numbers, got 2$"):
        run.build(SMALL.override({"loss.class_weights": [1, 2]}), data)


def test_the_augmentation_changes_what_is_trained_on(data, done):
    augmented = train(SMALL.override({"augmentation.shift": 1}), data=data, verbose=False)
    assert augmented.history.loss[0] > done.history.loss[0]
    assert augmented.history.loss[-1] < augmented.history.loss[0]


def test_a_run_stops_early_and_keeps_its_best_weights(data):
    # No epoch's accuracy gets better by more than 1, so the first one is the only good one.
    settings = SMALL.override({"stopping.patience": 2, "stopping.monitor": "val_accuracy", "stopping.min_delta": 1.0})
    stopped = train(settings.override({"training.epochs": 50}), data=data, verbose=False)
    assert len(stopped.history.loss) == 3
    assert stopped.accuracy == stopped.history.val_accuracy[stopped.best_epoch - 1]
    assert stopped.accuracy == stopped.model.evaluate(*data.test)[1]


def test_a_first_epoch_that_diverges_is_an_error_in_any_case(tmp_path, data):
    wild = SMALL.override({"optimizer.name": "sgd", "optimizer.learning_rate": 1e30})
    for callbacks in ([], [fastnn.callbacks.TerminateOnNaN()]):
        with pytest.raises(fastnn.DivergenceError, match="^Sequential: .* in epoch 1.*; try a lower learning rate"):
            train(wild, tmp_path / "out", data=data, callbacks=callbacks, verbose=False)


def test_a_plateau_reduces_the_rate_and_the_table_shows_it(tmp_path, data):
    changes = {"schedule.name": "plateau", "schedule.patience": 1, "schedule.min_delta": 100.0, "training.epochs": 4}
    train(SMALL.override(changes), tmp_path, data=data, verbose=False)
    rates = [float(row["learning_rate"]) for row in history(tmp_path)]
    np.testing.assert_allclose(rates, [0.02, 0.02, 0.01, 0.005])


def test_accumulated_batches_are_one_larger_batch(data):
    small = train(SMALL.override({"training.accumulate": 5, "network.dropout": 0}), data=data, verbose=False)
    large = train(SMALL.override({"training.batch_size": 500, "network.dropout": 0}), data=data, verbose=False)
    np.testing.assert_allclose(small.model.parameters, large.model.parameters, rtol=1e-3, atol=1e-4)


def test_an_interrupted_run_keeps_what_it_has_reached(tmp_path, data):
    batches = len(data.training[0]) // SMALL.training.batch_size
    seen = Interrupt(batches + 3)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, tmp_path, data=data, callbacks=[seen], verbose=False)
    rows = history(tmp_path)
    assert [row["epoch"] for row in rows] == ["1"]
    best, last = (fastnn.load(tmp_path / f"{name}.safetensors", backend="numpy") for name in ("model", "last"))
    np.testing.assert_array_equal(last.parameters, seen.model.parameters)
    assert best.evaluate(*data.test)[1] == float(rows[0]["val_accuracy"])
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, callbacks=[Interrupt(1)], data=data, verbose=False)


def test_a_trial_goes_through_everything_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    written = []
    monkeypatch.setattr(run.RunFolder, "save_last", lambda self: written.append(self.folder))
    done = run.try_out(SMALL.override({"data.validation_split": 0.1, "training.epochs": 50}))
    assert len(done.history.loss) == 1
    assert len(done.data.training[0]) == 200
    assert len(done.data.validation[0]) == 150
    assert done.folder is None
    assert written[0].parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_threads_are_those_of_the_settings_and_then_as_before(data):
    class Threads(Callback):
        def on_train_begin(self, logs):
            self.number = fastnn.get_num_threads()

    before = fastnn.get_num_threads()
    seen = Threads()
    settings = SMALL.override({"training.threads": 1, "training.backend": "numba", "training.epochs": 1})
    train(settings, data=data, callbacks=[seen], verbose=False)
    assert (seen.number, fastnn.get_num_threads()) == (1, before)


def test_wrong_calls(tmp_path, data):
    with pytest.raises(TypeError, match="^train: settings must be Settings, got 'mlp'$"):
        train("mlp")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        train(SMALL, tmp_path / "file", data=data)
    with pytest.raises(ValueError, match="^digits: validation_split=1e-05 leaves nothing to validate with$"):
        run.load(SMALL.override({"data.validation_split": 1e-5}))
    with pytest.raises(fastnn.DataError, match="^datasets: 'nonsense' is none of digits, "):
        run.load(SMALL.override({"data.dataset": "nonsense"}))


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("label,size,weight\n" + "".join(f"{n % 2},{1000 + n},{n / 1e6}\n" for n in range(40)))
    return SMALL.override({"data.dataset": str(path)})


@pytest.mark.parametrize(("standardize", "expected"), [("", True), (True, True), (False, False)])
def test_tables_are_standardized_by_the_model(table, standardize, expected):
    settings = table.override({"data.standardize": standardize})
    found = run.load(settings)
    first = run.build(settings, found).layers[0]
    assert isinstance(first, fastnn.layers.Standardize) is expected
    if expected:
        y = first.forward(found.training[0])
        np.testing.assert_allclose([y.mean(axis=0), y.std(axis=0)], [[0, 0], [1, 1]], atol=1e-3)


def test_images_are_standardized_when_that_is_asked(data):
    assert not isinstance(run.build(SMALL, data).layers[0], fastnn.layers.Standardize)
    done = train(SMALL.override({"data.standardize": True, "training.epochs": 10}), data=data, verbose=False)
    assert isinstance(done.model.layers[0], fastnn.layers.Standardize)
    assert done.accuracy > 0.75


def test_the_split_of_own_data(table):
    found = run.load(table)
    assert [len(part[0]) for part in (found.training, found.validation, found.test)] == [32, 4, 4]
    assert found.things == "samples"
    found = run.load(table.override({"data.split": "3/1", "data.validation_split": 0.5}))
    assert [len(part[0]) for part in (found.training, found.validation, found.test)] == [15, 15, 10]
    model = run.build(table, found)
    assert model.metadata["data"] == {"split": [0.75, 0.0, 0.25], "seed": 0, "label_column": None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.validation_split": 0.1}, r"x\.csv: has a validation part already: say the shares of all by split$"),
        ({"data.split": "0.9/0.1/0"}, r"x\.csv: the split leaves no samples to test with$"),
        ({"data.split": "0/1"}, r"x\.csv: the split leaves no samples to train with$"),
        ({"network.name": "cnn"}, r"x\.csv: holds rows of 2 numbers, no images: train the network mlp \(--model mlp\)"),
    ],
)
def test_data_that_do_not_suit(table, changes, message):
    with pytest.raises(ValueError, match=message):
        train(table.override(changes), verbose=False)


def test_digits_are_as_the_loader_gives_them(data):
    (x, y), _ = datasets.load_digits()
    np.testing.assert_array_equal(data.training[0], x)
    np.testing.assert_array_equal(data.training[1], y)
