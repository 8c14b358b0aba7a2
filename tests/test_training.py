"""The training loop: batches, validation, history, callbacks, divergence, data checks, allocations."""

import tracemalloc

import numpy as np
import pytest
from backends import BACKENDS

import fastnn as fn
from fastnn import reference
from fastnn._batches import Batches


def blobs(n=300, classes=3, features=6, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return rng.standard_normal((n, features)) + 3 * rng.standard_normal((classes, features))[y], y


def mlp(backend="numpy", rate=0.1, **options):
    model = fn.Sequential([fn.Dense(6, 8), fn.ReLU(), fn.Dense(8, 3)], (6,), backend=backend, seed=0, **options)
    model.compile(fn.SGD(rate, momentum=0.9))
    return model


@pytest.mark.parametrize("backend", BACKENDS)
def test_fit_learns_and_records(backend, capsys):
    x, y = blobs()
    model = mlp(backend)
    history = model.fit(x, y, epochs=8, batch_size=32, validation_split=0.2)
    assert all(len(values) == 8 for values in history.history.values())
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    assert history.loss[-1] < history.loss[0] / 2
    assert history.val_accuracy[-1] > 0.95
    assert model.evaluate(x[240:], y[240:]) == pytest.approx((history.val_loss[-1], history.val_accuracy[-1]))
    assert [row["epoch"] for row in history.rows()] == list(range(1, 9))
    assert history.rows()[2]["val_loss"] == history.val_loss[2]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[7].startswith(f"epoch 8/8: loss {history.loss[7]:.4f}, accuracy {history.accuracy[7]:.4f}, val_loss")


def test_fit_without_validation_is_quiet_when_asked(capsys):
    history = mlp().fit(*blobs(), verbose=False)
    assert "val_loss" not in history.history
    assert capsys.readouterr().out == ""


def test_loss_and_accuracy_are_means_over_samples_the_short_batch_included():
    x, y = blobs(70)
    model = mlp()
    model.compile(fn.SGD(1e-12))  # the weights stay as they are
    history = model.fit(x, y, batch_size=32, verbose=False)
    loss, accuracy = model.evaluate(x, y)
    assert history.loss[0] == pytest.approx(loss, rel=1e-5)
    assert history.accuracy[0] == pytest.approx(accuracy)


def test_one_hot_labels_are_the_same_as_class_numbers():
    x, y = blobs()
    runs = [
        mlp().fit(x, labels, 3, validation_data=(x, labels), verbose=False)
        for labels in (y, np.eye(3)[y], y[:, None], y.astype(float), y.tolist())
    ]
    for run in runs[1:]:
        assert (run.loss, run.val_loss, run.accuracy) == (runs[0].loss, runs[0].val_loss, runs[0].accuracy)


def test_fit_equals_train_batch_by_hand():
    x, y = blobs(100)
    model, twin = mlp(), mlp()
    model.fit(x, y, epochs=2, batch_size=32, seed=5, verbose=False)
    order, rng = np.arange(100), np.random.default_rng(5)
    for _ in range(2):
        rng.shuffle(order)
        for start in range(0, 100, 32):
            rows = order[start : start + 32]
            twin.train_batch(x[rows], y[rows])
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_validation_split_takes_the_last_rows_and_does_not_train_on_them():
    x, y = blobs(100)
    history = mlp().fit(x, y, 2, validation_split=0.25, shuffle=False, verbose=False)
    expected = mlp().fit(x[:75], y[:75], 2, validation_data=(x[75:], y[75:]), shuffle=False, verbose=False)
    assert (history.loss, history.val_loss) == (expected.loss, expected.val_loss)


class Looks(fn.ReLU):
    """A layer that notes the first number of every sample."""

    def __init__(self):
        super().__init__(backend="numpy")
        self.seen = []

    def _forward(self, x):
        self.seen.append(x[:, 0].astype(int).tolist())
        return super()._forward(x)


def test_batches_visit_every_row_once_and_with_its_label():
    x, y = np.arange(10, dtype=np.float32)[:, None], np.eye(10)[np.arange(10)]
    looks = Looks()
    model = fn.Sequential([looks, fn.Dense(1, 10, backend="numpy")], seed=0)
    batches = Batches(model, *model.check_data(x, y), 4)
    order = np.random.default_rng(0).permutation(10)
    assert [rows for rows, _, _ in batches.run(order, singly=True)] == [4, 4, 2]
    assert sum(looks.seen, []) == order.tolist()
    looks.seen.clear()
    assert all(np.isfinite(losses).all() for _, losses, _ in batches.run(None, singly=False))
    assert looks.seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


class Recorder(fn.Callback):
    def __init__(self, stop_after=None):
        self.calls, self.stop_after = [], stop_after

    def on_train_begin(self, logs):
        self.calls.append(("train", logs))

    def on_epoch_begin(self, epoch, logs):
        self.calls.append(("epoch", epoch))

    def on_batch_begin(self, batch, logs):
        self.calls.append(("batch", batch))

    def on_batch_end(self, batch, logs):
        self.calls.append(("batch end", batch, logs["size"]))
        if self.stop_after == "batch":
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs):
        self.calls.append(("epoch end", epoch, sorted(logs)))
        if self.stop_after == "epoch":
            self.model.stop_training = True

    def on_train_end(self, logs):
        self.calls.append(("train end", sorted(logs)))


def test_callbacks_are_called_in_keras_order():
    recorder = Recorder()
    mlp().fit(*blobs(50), epochs=2, batch_size=32, callbacks=[recorder], verbose=False)
    row = ["accuracy", "loss", "seconds"]
    epochs = [
        [
            ("epoch", e),
            ("batch", 0),
            ("batch end", 0, 32),
            ("batch", 1),
            ("batch end", 1, 18),
            ("epoch end", e, row),
        ]
        for e in range(2)
    ]
    start = ("train", {"epochs": 2, "batch_size": 32, "batches": 2, "samples": 50, "validation_samples": 0})
    assert recorder.calls == [start, *epochs[0], *epochs[1], ("train end", row)]


@pytest.mark.parametrize(("stop", "batches"), [("batch", 1), ("epoch", 2)])
def test_a_callback_stops_the_training(stop, batches):
    recorder = Recorder(stop)
    history = mlp().fit(*blobs(50), epochs=5, batch_size=32, callbacks=[recorder], verbose=False)
    assert len(history.loss) == 1
    assert sum(call[0] == "batch end" for call in recorder.calls) == batches
    assert recorder.calls[-1][0] == "train end"


def test_a_hook_may_be_assigned():
    callback, seen = fn.Callback(), []
    callback.on_epoch_end = lambda epoch, logs: seen.append(epoch)
    mlp().fit(*blobs(50), epochs=2, callbacks=[callback], verbose=False)
    assert seen == [0, 1]


class Poison(fn.Callback):
    """Makes the model useless after a batch of an epoch; remembers what that epoch began with."""

    def __init__(self, epoch, batch):
        self.at, self.epoch = (epoch, batch), -1

    def on_epoch_begin(self, epoch, logs):
        self.epoch = epoch
        if epoch <= self.at[0]:
            self.before = self.model.parameters.copy()

    def on_batch_end(self, batch, logs):
        if (self.epoch, batch) == self.at:
            self.model.parameters[:] = np.nan


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_diverging_loss_restores_the_last_good_weights(backend):
    poison = Poison(2, 1)
    model = mlp(backend)
    message = "Sequential: the loss is nan in epoch 3, batch 3; the last good weights were restored; try a lower"
    with pytest.raises(fn.DivergenceError, match=message) as caught:
        model.fit(*blobs(200), epochs=5, callbacks=[poison], verbose=False)
    assert (caught.value.epoch, caught.value.batch) == (3, 3)
    assert isinstance(caught.value, RuntimeError)
    np.testing.assert_array_equal(model.parameters, poison.before)
    model.fit(*blobs(200), verbose=False)  # the optimizer holds no NaN either


def test_a_bad_last_update_of_an_epoch_is_not_kept_as_good():
    poison = Poison(1, 6)
    model = mlp()
    with pytest.raises(fn.DivergenceError, match="epoch 3, batch 1;"):
        model.fit(*blobs(200), epochs=5, callbacks=[poison], verbose=False)
    np.testing.assert_array_equal(model.parameters, poison.before)


def test_a_diverging_validation_loss_stops_too():
    poison = Poison(1, 6)
    model = mlp()
    with pytest.raises(fn.DivergenceError, match="the validation loss is nan after epoch 2;"):
        model.fit(*blobs(200), epochs=5, validation_data=blobs(20), callbacks=[poison], verbose=False)
    np.testing.assert_array_equal(model.parameters, poison.before)


def test_a_learning_rate_that_is_far_too_high_is_reported():
    x, y = blobs()
    model = fn.Sequential([fn.Dense(6, 3)], (6,), backend="numpy", seed=0)
    model.compile(fn.SGD(1e30), fn.MeanSquaredError())
    before = model.parameters.copy()
    with (
        np.errstate(all="ignore"),
        pytest.raises(fn.DivergenceError, match=r"Sequential: the loss is (inf|nan) in epoch 1, batch \d;"),
    ):
        model.fit(x, y, verbose=False)
    np.testing.assert_array_equal(model.parameters, before)


def broken(x, row, value):
    x = x.copy()
    x[row, 2] = value
    return x


X, Y = blobs(40)
BAD_DATA = [
    (broken(X, 17, np.nan), Y, ValueError, "Sequential: x must be finite, got nan in row 17"),
    (broken(X, 3, -np.inf), Y, ValueError, "Sequential: x must be finite, got -inf in row 3"),
    (X, np.where(np.arange(40) == 5, 3, Y), ValueError, r"y must be class numbers in 0..2, got 3 in row 5"),
    (X, np.where(np.arange(40) == 7, -1, Y), ValueError, r"y must be class numbers in 0..2, got -1 in row 7"),
    (
        X,
        np.where(np.arange(40) == 9, 0.5, Y),
        ValueError,
        "Sequential: y must be whole class numbers, got 0.5 in row 9",
    ),
    (X, np.where(np.arange(40) == 9, np.nan, Y), ValueError, "Sequential: y must be .* got nan in row 9"),
    (X, Y[:39], ValueError, r"Sequential: y must have shape \(40,\) or \(40, 3\), got \(39,\)"),
    (X, np.ones((40, 3)), ValueError, r"Sequential: y must be one-hot .* in row 0"),
    (X, np.eye(4)[Y], ValueError, r"Sequential: y must have shape \(40,\) or \(40, 3\), got \(40, 4\)"),
    (X, Y.astype(str), TypeError, "Sequential: y must hold real numbers, got dtype <U"),
    (X[:, :5], Y, ValueError, r"Sequential: x must have shape \(N, 6\), got \(40, 5\)"),
    (X[:0], Y[:0], ValueError, r"Sequential: x must not be empty, got shape \(0, 6\)"),
    (X.astype(complex), Y, TypeError, "Sequential: x must hold real numbers, got dtype complex128"),
]


@pytest.mark.parametrize(("x", "y", "error", "message"), BAD_DATA)
def test_bad_data_is_refused_by_name(x, y, error, message):
    for call in (mlp().fit, mlp().evaluate):
        with pytest.raises(error, match=message):
            call(x, y)
    with pytest.raises(error, match=message.replace("Sequential: ", "Sequential: validation ").replace("^y", "")):
        mlp().fit(X, Y, validation_data=(x, y))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "Sequential: epochs must be >= 1, got 0"),
        ({"batch_size": 2.5}, TypeError, "Sequential: batch_size must be an integer, got float"),
        ({"validation_split": 1.0}, ValueError, "Sequential: validation_split must be >= 0 and < 1, got 1"),
        (
            {"validation_split": 0.999},
            ValueError,
            "Sequential: validation_split=0.999 leaves no training row of 40",
        ),
        ({"callbacks": [print]}, TypeError, r"Sequential: callbacks\[0\] must be a Callback, got builtin_"),
        ({"seed": "x"}, TypeError, "Sequential: seed must be None, an integer or"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        mlp().fit(X, Y, verbose=False, **options)


# Bytes. The arrays of a step over 32,768 rows begin at 128 kB (losses); smaller are Python objects and the buffer of
# 8,192 numbers through which NumPy adds up float32 losses in float64.
SMALL = 75_000


def write_zeros(*arguments):
    arguments[-1].fill(0)


@pytest.fixture
def no_work(monkeypatch):
    """Operations that only write zeros: what is left is what layers, loss, optimizer and loop allocate."""
    for name in reference.__all__:
        if callable(getattr(reference, name)) and not name.endswith(("_scratch_size", "_lanes")):
            monkeypatch.setattr(reference, name, write_zeros)


def steady_state(model, x, y, batch_size):
    """Peak of bytes allocated in one epoch over what was allocated before it, after two epochs to warm up."""

    class Meter(fn.Callback):
        peak = 0

        def on_epoch_begin(self, epoch, logs):
            if epoch == 2:
                tracemalloc.start()
                self.base = tracemalloc.get_traced_memory()[0]

        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                self.peak = tracemalloc.get_traced_memory()[1] - self.base
                tracemalloc.stop()

    meter = Meter()
    model.fit(x, y, epochs=3, batch_size=batch_size, callbacks=[meter], verbose=False)
    return meter.peak


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("optimizer", [fn.SGD(0.1, momentum=0.9), fn.Adam(0.01)])
def test_the_steady_state_allocates_no_arrays(optimizer):
    layers = [
        fn.Conv2D(1, 8, 3),
        fn.ReLU(),
        fn.MaxPool2D(2),
        fn.Dropout(0.2),
        fn.Flatten(),
        fn.Dense(None, 32),
    ]
    model = fn.Sequential([*layers, fn.Tanh(), fn.Dense(32, 10)], (4, 4, 1), backend="numpy", seed=0)
    model.compile(optimizer)
    x, y = np.zeros((40_000, 4, 4, 1), np.float32), np.zeros(40_000, int)
    assert steady_state(model, x, y, 32_768) < SMALL


@pytest.mark.skipif("numba" not in BACKENDS, reason="there is no compiled backend to measure")
def test_the_steady_state_allocates_no_arrays_with_kernels():
    layers = [fn.Dense(64, 32), fn.ReLU(), fn.Dense(32, 32, activation="tanh"), fn.Dense(32, 10)]
    model = fn.Sequential(layers, (64,), backend="numba", seed=0)
    x, y = np.zeros((40_000, 64), np.float32), np.zeros(40_000, int)
    assert steady_state(model, x, y, 32_768) < SMALL


@pytest.mark.usefixtures("no_work")
def test_the_allocation_check_can_fail():
    class Wasteful(fn.ReLU):
        def _forward(self, x):
            return x.copy()

    model = fn.Sequential([Wasteful(), fn.Dense(64, 3)], (64,), backend="numpy")
    assert steady_state(model, np.zeros((40_000, 64), np.float32), np.zeros(40_000, int), 32_768) > SMALL
