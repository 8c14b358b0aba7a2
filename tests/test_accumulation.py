"""Gradient accumulation: k batches of b rows are one batch of k * b, recorded or not, in blocks or singly."""

import numpy as np
import pytest
from backends import BACKENDS

import fastnn as fn

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((43, 8, 8, 2)), RNG.integers(0, 5, 43)  # batches of 4 in groups of 3: 3, 3, 3, 2, 3 rows
LOSSES = {
    "softmax": fn.SoftmaxCrossEntropy,
    "smoothing": lambda: fn.SoftmaxCrossEntropy(label_smoothing=0.1),
    "class weights": lambda: fn.SoftmaxCrossEntropy(class_weights=[1, 2, 0, 4, 0.5]),
    "squares": fn.MeanSquaredError,
    "binary": fn.BinaryCrossEntropy,
}


def make(optimizer=None, loss=None, backend="numba", dtype="float64", rate=0.0, **options):
    layers = [
        fn.Conv2D(2, 6, 3), fn.ReLU(), fn.MaxPool2D(2), fn.Flatten(), fn.Dropout(rate),
        fn.Dense(None, 12), fn.Clip(-1, 1), fn.Dense(12, 5),
    ]  # fmt: skip
    model = fn.Sequential(layers, (8, 8, 2), seed=3, backend=backend, dtype=dtype, **options)
    model.compile(optimizer or fn.SGD(0.05, momentum=0.9), loss)
    return model


def fit(model, batch_size, accumulate=1, epochs=2, y=Y, **options):
    return model.fit(X, y, epochs, batch_size, seed=1, accumulate=accumulate, verbose=False, **options)


def is_recorded(model):
    return any(steps._recording is not None for steps in model._recordings.values())


def through_python(model):
    """The same model with a layer that is not fastnn's own, so that none of its steps is recorded."""
    model.layers[1].__class__ = type("Own", (fn.ReLU,), {})
    return model


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("shuffle", [True, False])
def test_small_batches_equal_large_ones(loss, backend, shuffle):
    y = np.eye(5)[Y] if loss is fn.BinaryCrossEntropy else Y
    small, large = (make(loss=loss(), backend=backend) for _ in range(2))
    histories = fit(small, 4, 3, y=y, shuffle=shuffle), fit(large, 12, y=y, shuffle=shuffle)
    np.testing.assert_allclose(small.parameters, large.parameters, rtol=1e-9, atol=1e-12)
    assert small.optimizer.iterations == large.optimizer.iterations == 8
    if getattr(small.loss, "class_weights", None) is None:
        assert histories[0].loss == pytest.approx(histories[1].loss, rel=1e-9)
        assert histories[0].accuracy == pytest.approx(histories[1].accuracy)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: fn.SGD(fn.schedules.Exponential(0.05, 0.5), momentum=0.9, decay=0.1, clip_norm=0.1),
        lambda: fn.Adam(fn.schedules.OneCycle(0.01), clip_global_norm=0.05),
        lambda: fn.RMSprop(0.001, clip_value=0.01),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_clipping_and_schedules_see_the_mean_gradient_and_count_updates(optimizer, backend):
    small, large = (make(optimizer(), backend=backend) for _ in range(2))
    fit(small, 4, 3, epochs=3)
    fit(large, 12, epochs=3)
    np.testing.assert_allclose(small.parameters, large.parameters, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(small.gradients, large.gradients, rtol=1e-6, atol=1e-9)
    assert small.optimizer.current_learning_rate == large.optimizer.current_learning_rate


@pytest.mark.skipif("numba" not in BACKENDS, reason="there is no compiled backend to record")
@pytest.mark.parametrize("optimizer", [lambda: fn.SGD(0.05, momentum=0.9, clip_norm=0.1), lambda: fn.Adam(0.01)])
def test_recorded_steps_have_the_bits_of_steps_through_python(optimizer):
    class Hook(fn.Callback):
        def on_batch_end(self, batch, logs):
            """Makes fit come back for every batch."""

    recorded, singly, python = (make(optimizer(), dtype="float32", rate=0.3) for _ in range(3))
    histories = [
        fit(recorded, 4, 3, epochs=6),
        fit(singly, 4, 3, epochs=6, callbacks=[Hook()]),
        fit(through_python(python), 4, 3, epochs=6),
    ]
    assert is_recorded(recorded)
    assert not is_recorded(python)
    for model, history in zip((singly, python), histories[1:], strict=True):
        assert history.loss == histories[0].loss
        np.testing.assert_array_equal(model.parameters, recorded.parameters)
        assert model.optimizer.state()["0.step"] == recorded.optimizer.state()["0.step"] == 24


@pytest.mark.skipif("numba" not in BACKENDS, reason="there is no compiled backend to record")
def test_augmented_batches_add_up_recorded_and_not():
    augmentation = fn.Augmentation(shift=0.1, rotate=20, cutout=2, seed=4)
    small, large, python = make(), make(), through_python(make())
    fit(small, 4, 3, epochs=3, augmentation=augmentation)
    fit(large, 12, epochs=3, augmentation=augmentation)
    fit(python, 4, 3, epochs=3, augmentation=augmentation)
    assert is_recorded(small)
    np.testing.assert_array_equal(small.parameters, python.parameters)
    np.testing.assert_allclose(small.parameters, large.parameters, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_probabilities_as_targets_with_class_weights(backend):
    y = np.random.default_rng(1).dirichlet(np.ones(5), len(X))
    small, large = (make(loss=LOSSES["class weights"](), backend=backend) for _ in range(2))
    fit(small, 4, 3, y=y)
    fit(large, 12, y=y)
    np.testing.assert_allclose(small.parameters, large.parameters, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_group_may_be_larger_than_the_data_and_one_batch_is_no_group(backend):
    for batch_size, accumulate, same in ((4, 100, 43), (43, 5, 43), (10, 1, 10)):
        small, large = (make(backend=backend) for _ in range(2))
        fit(small, batch_size, accumulate, epochs=3)
        fit(large, same, epochs=3)
        np.testing.assert_allclose(small.parameters, large.parameters, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_between_updates_the_weights_stay_and_a_group_that_is_cut_off_changes_nothing(backend):
    class Look(fn.Callback):
        def on_train_begin(self, logs):
            self.before, self.changed = self.model.parameters.copy(), []

        def on_batch_end(self, batch, logs):
            self.changed.append(not np.array_equal(self.model.parameters, self.before))
            self.before = self.model.parameters.copy()
            self.model.stop_training = len(self.changed) == 22 + 5  # in the third epoch

    look, model = Look(), make(backend=backend)
    fit(model, 4, 3, epochs=5, callbacks=[look])
    epoch = [False, False, True] * 3 + [False, True]
    assert look.changed == epoch * 2 + epoch[:5]
    assert model.optimizer.iterations == 4 + 4 + 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_diverging_loss_ends_it(backend):
    class Poison(fn.Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 2:
                self.model.parameters[:] = np.nan

    model = make(backend=backend)
    with pytest.raises(fn.DivergenceError, match="the loss is nan in epoch 3, batch 1;"):
        fit(model, 4, 3, epochs=4, callbacks=[Poison()])
    assert np.isfinite(model.parameters).all()
    fit(model, 4, 3)
    assert np.isfinite(model.parameters).all()


def test_bad_numbers_of_batches():
    for value, error, message in ((0, ValueError, "must be >= 1, got 0"), (1.5, TypeError, "must be an integer, got")):
        with pytest.raises(error, match=f"^Sequential: accumulate {message}"):
            fit(make(backend="numpy"), 4, value)
