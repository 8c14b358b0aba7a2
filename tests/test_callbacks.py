"""Callbacks: when they act, what they write, what they refuse; on scripted epochs and in real trainings."""

import csv
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from backends import BACKENDS

import fastnn as fn
from fastnn.callbacks import (
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)

(X, Y), (X_TEST, Y_TEST) = fn.datasets.load_digits()
X, Y, X_TEST, Y_TEST = X[:300], Y[:300], X_TEST[:100], Y_TEST[:100]
TEST = (X_TEST, Y_TEST)


def mlp(optimizer=None, backend="numpy"):
    layers = [fn.Flatten(), fn.Dense(64, 16), fn.BatchNorm(16), fn.ReLU(), fn.Dense(16, 10)]
    model = fn.Sequential(layers, (8, 8, 1), backend=backend, seed=0)
    model.compile(optimizer or fn.SGD(0.05, momentum=0.9))
    return model


def fit(model, *callbacks, epochs=3, validation_data=TEST, **options):
    options = {"batch_size": 50, "seed": 0, "verbose": False, **options}
    return model.fit(X, Y, epochs=epochs, validation_data=validation_data, callbacks=callbacks, **options)


def play(callback, values, name="val_loss", model=None):
    """Give the callback epochs with these values until it stops; returns how many it saw."""
    callback.set_model(model or SimpleNamespace(stop_training=False, weights=dict))
    callback.on_train_begin({"validation_samples": 1})
    logs = {}
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch, {})
        logs = {"loss": 1.0, name: value, "seconds": 0.1}
        callback.on_epoch_end(epoch, logs)
        if callback.model.stop_training:
            break
    callback.on_train_end(logs)
    return epoch + 1


# EarlyStopping


@pytest.mark.parametrize(
    ("options", "name", "values", "seen", "best"),
    [
        ({}, "val_loss", [3, 2, 2, 1], 3, 1),
        ({"patience": 2}, "val_loss", [3, 4, 2, 3, 3, 1], 5, 2),
        ({"patience": 2}, "val_loss", [3, 4, 2, 3, 1], 5, 4),
        ({"min_delta": 0.5}, "val_loss", [3, 2, 1.6, 1], 3, 1),
        ({"monitor": "val_accuracy"}, "val_accuracy", [0.1, 0.5, 0.9, 0.9, 1], 4, 2),
        ({"monitor": "val_accuracy", "min_delta": 0.1}, "val_accuracy", [0.1, 0.5, 0.55], 3, 1),
        ({"monitor": "val_accuracy", "mode": "min"}, "val_accuracy", [0.5, 0.1, 0.2], 3, 1),
        ({"mode": "max"}, "val_loss", [1, 2, 1], 3, 1),
        ({"patience": 3, "baseline": 1.5}, "val_loss", [4, 3, 2, 2, 1], 4, 2),
        ({"patience": 3, "baseline": 1.5}, "val_loss", [4, 1.2, 2, 2, 2, 1], 5, 1),
        ({"start_from_epoch": 3}, "val_loss", [1, 2, 3, 4, 3, 3, 2], 6, 4),
    ],
)
def test_early_stopping(options, name, values, seen, best):
    callback = EarlyStopping(**options)
    for _ in range(2):  # the second training begins anew
        assert play(callback, values, name) == seen
        assert callback.best_epoch == best
        assert callback.best == values[best]
    assert callback.stopped_epoch == (seen - 1 if seen < len(values) or values[seen - 1] != values[best] else None)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("stops", [True, False])
def test_early_stopping_gives_the_best_weights_back_with_all_statistics(backend, stops):
    weights = []

    def worsen(epoch, logs):
        weights.append({name: a.copy() for name, a in model.weights().items()})
        logs["quality"] = [1, 3, 2, 0, 0][epoch]

    model = mlp(backend=backend)
    best = EarlyStopping("quality", mode="max", patience=2 if stops else 9, restore_best_weights=True)
    history = fit(model, LambdaCallback(on_epoch_end=worsen), best, epochs=5)
    assert len(history.loss) == (4 if stops else 5)
    assert (best.best_epoch, best.stopped_epoch) == (1, 3 if stops else None)
    for name, a in model.weights().items():
        np.testing.assert_array_equal(a, weights[1][name])
        assert not np.array_equal(a, weights[-1][name])


def test_early_stopping_says_so(capsys):
    play(EarlyStopping(verbose=1), [2, 3])
    assert capsys.readouterr().out == "epoch 2: early stopping, best val_loss 2.0000\n"


# What is watched


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau, lambda monitor: ModelCheckpoint("x", monitor,
                                  save_best_only=True)])  # fmt: skip
def test_what_cannot_be_watched(make):
    own = type(make("loss")).__name__
    message = f"^{own}: monitor must be one of loss, accuracy, seconds without validation data, got 'val_loss'$"
    with pytest.raises(ValueError, match=message):
        fit(mlp(), make("val_loss"), validation_data=None)
    message = f"^{own}: monitor must be one of loss, accuracy, val_loss, val_accuracy, seconds, got 'val_acc'$"
    with pytest.raises(ValueError, match=message):
        fit(mlp(), make("val_acc"))
    with pytest.raises(TypeError, match=f"^{own}: monitor must be a word, got "):
        make(3)


def test_values_have_no_accuracy_to_watch():
    model = fn.Sequential([fn.Flatten(), fn.Dense(64, 1)], (8, 8, 1), backend="numpy", seed=0)
    model.compile(fn.SGD(1e-4), fn.MeanSquaredError())
    with pytest.raises(ValueError, match="monitor must be one of loss, val_loss, seconds, got 'val_accuracy'$"):
        fit(model, EarlyStopping("val_accuracy"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(mode="most"), "EarlyStopping: mode must be one of 'auto', 'min', 'max', got 'most'"),
        (lambda: EarlyStopping(min_delta=-1), "EarlyStopping: min_delta must be >= 0, got -1"),
        (lambda: EarlyStopping(patience=-1), "EarlyStopping: patience must be >= 0, got -1"),
        (lambda: ReduceLROnPlateau(factor=1), "ReduceLROnPlateau: factor must be > 0 and < 1, got 1"),
        (lambda: ModelCheckpoint("{epoch"), r"ModelCheckpoint: filepath must be a path with \{fields\}, got '\{epoch'"),
        (lambda: ModelCheckpoint("x", save_freq="batch"), "ModelCheckpoint: save_freq must be one of 'epoch', got"),
        (lambda: ModelCheckpoint("x", save_freq=0), "ModelCheckpoint: save_freq must be >= 1, got 0"),
        (lambda: CSVLogger("x", ";;"), "CSVLogger: separator must be one character, no quote or line end, got ';;'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_what_is_no_function():
    with pytest.raises(TypeError, match="^LambdaCallback: on_epoch_end must be a function, got int$"):
        LambdaCallback(on_epoch_end=3)
    with pytest.raises(TypeError, match="^LearningRateScheduler: schedule must be a function, got float$"):
        LearningRateScheduler(0.1)


# ModelCheckpoint


def test_checkpoints_of_every_epoch_have_the_weights_and_numbers_of_their_epoch(tmp_path):
    seen = []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.parameters.copy()))
    model, saved = mlp(), ModelCheckpoint(tmp_path / "new" / "m-{epoch:02d}-{val_loss:.2f}.safetensors")
    history = fit(model, look, saved)
    names = [f"m-{epoch:02d}-{loss:.2f}.safetensors" for epoch, loss in enumerate(history.val_loss, 1)]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert saved.last_path == tmp_path / "new" / names[-1]
    for name, parameters in zip(names, seen, strict=True):
        np.testing.assert_array_equal(fn.load(tmp_path / "new" / name).parameters, parameters)


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({}, [0, 1, 3]),
        ({"mode": "max"}, [0, 2]),
        ({"initial_value_threshold": 2.5}, [1, 3]),
        ({"initial_value_threshold": 0.5}, []),
    ],
)
def test_only_the_best_is_saved(tmp_path, options, written):
    saves = []
    model = SimpleNamespace(stop_training=False, save=lambda path: saves.append(int(path.name) - 1))
    callback = ModelCheckpoint(tmp_path / "{epoch}", save_best_only=True, **options)
    play(callback, [3, 2, 4, 1], model=model)
    assert saves == written
    play(callback, [3, 2, 4, 1], model=model)  # a second training has to be better than the first
    assert saves == written


@pytest.mark.parametrize("backend", BACKENDS)
def test_checkpoints_of_every_few_batches(tmp_path, backend, capsys):
    seen = {}
    model = mlp(backend=backend)

    def look(batch, logs):
        seen[len(seen)] = model.parameters.copy()

    callback = ModelCheckpoint(tmp_path / "{epoch}-{batch}-{loss:.3f}", verbose=1, save_freq=4)
    fit(model, LambdaCallback(on_train_batch_end=look), callback, epochs=2)  # 6 batches an epoch
    files = sorted(tmp_path.iterdir())
    assert [path.name.rsplit("-", 1)[0] for path in files] == ["1-4", "2-2", "2-6"]
    for path, number in zip(files, (3, 7, 11), strict=True):
        np.testing.assert_array_equal(fn.load(path, backend=backend).parameters, seen[number])
    assert capsys.readouterr().out.splitlines()[0] == f"epoch 1: saved {files[0]}"


def test_a_checkpoint_of_epochs_lets_steps_run_in_blocks():
    assert "on_batch_end" not in vars(ModelCheckpoint("x"))
    assert "on_batch_end" in vars(ModelCheckpoint("x", save_freq=3))


def test_file_names_with_unknown_fields():
    message = r"^ModelCheckpoint: filepath must not have \{val_loss\} without validation data$"
    with pytest.raises(ValueError, match=message):
        fit(mlp(), ModelCheckpoint("{val_loss}"), validation_data=None)
    message = "^ModelCheckpoint: filepath must have fields of epoch, loss, .*, seconds, got '{name}': 'name'$"
    with pytest.raises(ValueError, match=message):
        fit(mlp(), ModelCheckpoint("{name}"))


# Learning rates


@pytest.mark.parametrize(
    ("options", "values", "rates"),
    [
        ({"patience": 2}, [2, 2, 2, 2, 2, 2], [1, 1, 1, 0.1, 0.1, 0.01]),
        ({"patience": 1, "cooldown": 2, "factor": 0.5}, [2] * 7, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]),
        ({"patience": 1, "min_lr": 0.3, "factor": 0.5}, [2] * 5, [1, 1, 0.5, 0.3, 0.3]),
        ({"patience": 1, "min_delta": 1.0}, [3, 1.5, 1.2, 1], [1, 1, 1, 0.1]),
        ({"patience": 1, "mode": "max"}, [1, 2, 3, 2], [1, 1, 1, 1]),
    ],
)
def test_reduce_on_plateau(options, values, rates):
    optimizer, seen = fn.SGD(1.0), []
    model = SimpleNamespace(stop_training=False, optimizer=optimizer)
    callback = ReduceLROnPlateau(**options)
    end = callback.on_epoch_end

    def look(epoch, logs):
        end(epoch, logs)
        seen.append(logs["learning_rate"])

    callback.on_epoch_end = look
    play(callback, values, model=model)
    assert seen == pytest.approx(rates)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("schedule", [lambda epoch, rate: rate * 0.5, lambda epoch: 0.05 * 0.5 ** (epoch + 1)])
def test_a_rate_that_is_set_between_epochs_counts_in_recorded_steps(backend, schedule):
    scheduled = mlp(backend=backend)
    history = fit(scheduled, LearningRateScheduler(schedule), epochs=4)
    expected = mlp(fn.SGD(fn.schedules.Exponential(0.025, 0.5), momentum=0.9), backend)
    assert fit(expected, epochs=4).loss == history.loss
    np.testing.assert_array_equal(scheduled.parameters, expected.parameters)
    assert scheduled.optimizer.learning_rate == 0.05 / 16


def test_rates_are_printed_and_shown_to_later_callbacks(capsys):
    rows = []
    callbacks = LearningRateScheduler(lambda epoch, rate: 0.1, 1), ReduceLROnPlateau("loss", 0.5, 1, 1, min_delta=99)
    fit(mlp(), *callbacks, LambdaCallback(on_epoch_end=lambda epoch, logs: rows.append(logs["learning_rate"])),
        epochs=2)  # fmt: skip
    assert rows == [0.1, 0.1]
    lines = ["epoch 1: learning rate 0.1", "epoch 2: learning rate 0.1",
             "epoch 2: learning rate reduced from 0.1 to 0.05"]  # fmt: skip
    assert capsys.readouterr().out.splitlines() == lines


def test_a_schedule_and_a_callback_cannot_both_set_the_rate():
    for callback in (ReduceLROnPlateau(), LearningRateScheduler(lambda epoch: 0.1)):
        own = type(callback).__name__
        message = f"^{own}: the optimizer's learning_rate must be a number, got the schedule OneCycle$"
        with pytest.raises(TypeError, match=message):
            fit(mlp(fn.Adam(fn.schedules.OneCycle(0.01))), callback)


def test_a_schedule_function_that_returns_nonsense():
    for value, message in ((-1, "must be >= 0, got -1"), (None, "must be a number, got None")):
        with pytest.raises((ValueError, TypeError), match=f"^LearningRateScheduler: what schedule returns {message}$"):
            fit(mlp(), LearningRateScheduler(lambda epoch, rate, value=value: value))


# CSVLogger and LambdaCallback


def table(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter=separator))


def test_csv_has_the_rows_of_the_history(tmp_path):
    path = tmp_path / "new" / "log.csv"
    history = fit(mlp(), CSVLogger(path, ";"))
    rows = [{name: float(value) for name, value in row.items()} for row in table(path, ";")]
    assert rows == history.rows()
    fit(mlp(), CSVLogger(path, ";"), epochs=1)
    assert len(table(path, ";")) == 1
    assert [file.name for file in path.parent.iterdir()] == ["log.csv"]


def test_csv_goes_on_where_a_run_goes_on(tmp_path):
    path, model = tmp_path / "log.csv", mlp()
    fit(model, CSVLogger(path, append=True), epochs=2)
    path.write_text(path.read_text().rstrip("\n"))  # as some editors leave it
    fit(model, CSVLogger(path, append=True), epochs=4, initial_epoch=2)
    assert [row["epoch"] for row in table(path)] == ["1", "2", "3", "4"]
    message = f"^{path}: columns must be epoch, loss, accuracy, seconds, got epoch, loss, accuracy, val_loss, "
    before = path.read_text()
    with pytest.raises(fn.DataError, match=message):
        fit(model, CSVLogger(path, append=True), validation_data=None)
    assert path.read_text() == before


def test_lambda_hooks_are_called_and_the_others_cost_nothing():
    calls = []
    hooks = {
        name: lambda *arguments, name=name: calls.append((name, *arguments[:-1]))
        for name in ("on_train_begin", "on_epoch_begin", "on_batch_begin", "on_batch_end", "on_epoch_end",
                     "on_train_end")
    }  # fmt: skip
    fit(mlp(), LambdaCallback(**hooks), epochs=1, batch_size=150)
    batches = [("on_batch_begin", 0), ("on_batch_end", 0), ("on_batch_begin", 1), ("on_batch_end", 1)]
    ends = [("on_epoch_end", 0), ("on_train_end",)]
    assert calls == [("on_train_begin",), ("on_epoch_begin", 0), *batches, *ends]
    assert vars(LambdaCallback(on_epoch_end=print)).keys() == {"on_epoch_end"}


# Divergence


def poison(model, epoch):
    def spoil(number, logs):
        if number == epoch:
            model.parameters[:] = np.nan

    return LambdaCallback(on_epoch_begin=spoil)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("epoch", [0, 2])
def test_terminate_on_nan_ends_quietly_with_the_last_good_weights(backend, epoch, capsys):
    model, quiet, ends = mlp(backend=backend), TerminateOnNaN(), []
    good = [model.parameters.copy()]
    look = LambdaCallback(
        on_epoch_end=lambda number, logs: good.append(model.parameters.copy()), on_train_end=ends.append
    )
    history = fit(model, poison(model, epoch), look, quiet, epochs=5)
    assert len(history.loss) == epoch
    assert len(ends) == 1
    assert ends[0].get("loss") == (history.loss[-1] if epoch else None)
    assert model.stop_training
    np.testing.assert_array_equal(model.parameters, good[-1])
    assert (quiet.error.epoch, quiet.error.batch) == (epoch + 1, 1)
    said = capsys.readouterr().out
    assert said.startswith(f"Sequential: the loss is nan in epoch {epoch + 1}, batch 1; the last good weights were")
    fit(model, quiet)
    assert quiet.error is None


def test_a_validation_loss_that_is_no_number_leaves_no_row():
    model, ends = mlp(), []

    def spoil(batch, logs):
        if batch == 5:
            model.parameters[:] = np.nan

    history = fit(model, LambdaCallback(on_batch_end=spoil, on_train_end=ends.append), TerminateOnNaN())
    assert history.loss == []
    assert ends == [{}]
    assert np.isfinite(model.parameters).all()


def test_without_it_the_error_is_raised_and_other_callbacks_may_look():
    seen = []

    class Look(fn.Callback):
        def on_divergence(self, error):
            seen.append(error)
            return False

    model = mlp()
    with pytest.raises(fn.DivergenceError) as caught:
        fit(model, poison(model, 1), Look())
    assert seen == [caught.value]


# Epochs that go on


def test_a_run_goes_on_from_its_epoch():
    calls = []
    model = mlp(fn.SGD(fn.schedules.Exponential(0.05, 0.5), momentum=0.9))
    fit(model, epochs=2)
    look = LambdaCallback(on_epoch_begin=lambda epoch, logs: calls.append(epoch))
    history = fit(model, look, epochs=5, initial_epoch=2)
    assert calls == [2, 3, 4]
    assert [row["epoch"] for row in history.rows()] == [3, 4, 5]
    assert "initial_epoch" not in history.history
    assert model.optimizer.iterations == 5 * 6
    assert model.optimizer.current_learning_rate == 0.05 * 0.5**5
    with pytest.raises(ValueError, match="^Sequential: epochs must be >= 6, got 5$"):
        fit(model, epochs=5, initial_epoch=5)
    with pytest.raises(ValueError, match="^Sequential: initial_epoch must be >= 0, got -1$"):
        fit(model, initial_epoch=-1)


def test_a_cycle_over_the_whole_run_takes_the_epochs_that_are_left(capsys):
    model = mlp(fn.SGD(fn.schedules.Cosine(0.1)))
    fit(model, epochs=4, initial_epoch=2, verbose=True)
    assert model.optimizer.iterations == 12
    assert model.optimizer.current_learning_rate == pytest.approx(0)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["epoch 3/4", "epoch 4/4"]


def test_callbacks_can_be_pickled():
    for callback in (EarlyStopping(), ModelCheckpoint("x"), ReduceLROnPlateau(), CSVLogger("x"), TerminateOnNaN()):
        assert type(pickle.loads(pickle.dumps(callback))) is type(callback)
