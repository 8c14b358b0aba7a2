"""Augmentation: its settings, `apply`, and training with it."""

import dataclasses

import numpy as np
import pytest
import threads
from backends import BACKENDS

import fastnn as fn
from fastnn.augment import Augmentation

RNG = np.random.default_rng(0)
X, Y = RNG.random((44, 9, 8, 2)).astype(np.float32), RNG.integers(0, 5, 44)
ALL = {
    "shift": 1.5, "rotate": 20, "scale": 0.2, "shear": 10, "elastic": (9, 2), "flip": "both", "crop": 2, "resize": 0.2,
    "cutout": 3, "mixup": 0.4, "border": "edge", "fill": (0.5, 0.25),
}  # fmt: skip


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def make(backend="numba", loss=None, seed=3, outputs=5):
    layers = [fn.Conv2D(2, 6, 3), fn.ReLU(), fn.Flatten(), fn.Dropout(0.2), fn.Dense(None, outputs)]
    model = fn.Sequential(layers, (9, 8, 2), backend=backend, seed=seed)
    model.compile(fn.SGD(0.05, momentum=0.9), loss)
    return model


def through_python(model):
    """The same model with a layer that is not fastnn's own, so that none of its steps is recorded."""
    model.layers[1].__class__ = type("Own", (type(model.layers[1]),), {})
    return model


def fitted(model, x=X, y=Y, **options):
    return model.fit(x, y, **({"epochs": 3, "batch_size": 10, "verbose": False} | options))


def test_nothing_is_changed_by_default(backend):
    images = Augmentation(backend=backend).apply(X)
    np.testing.assert_array_equal(images, X)
    assert not np.shares_memory(images, X)


def test_it_is_a_function_of_seed_epoch_and_row(backend):
    augmentation = Augmentation(**ALL | {"mixup": 0}, seed=1, backend=backend)
    images = augmentation.apply(X, epoch=2)
    rows = RNG.permutation(44)[:7]
    np.testing.assert_array_equal(augmentation.apply(X[rows], rows, epoch=2), images[rows])
    np.testing.assert_array_equal(dataclasses.replace(augmentation).apply(X, epoch=2), images)
    for other in (augmentation.apply(X), dataclasses.replace(augmentation, seed=2).apply(X, epoch=2)):
        assert (abs(other - images) > 1e-3).mean() > 0.5
    assert (abs(augmentation.apply(np.repeat(X[:1], 44, axis=0))[1:] - augmentation.apply(X[:1])) > 1e-3).mean() > 0.5


def test_without_a_seed_each_object_has_its_own():
    first, second = Augmentation(shift=2, backend="numpy"), Augmentation(shift=2, backend="numpy")
    np.testing.assert_array_equal(first.apply(X), first.apply(X))
    assert (first.apply(X) != second.apply(X)).any()


def test_backends_agree():
    for dtype, tolerance in (("float32", 2e-4), ("float64", 1e-12)):
        x = np.random.default_rng(0).random((300, 9, 8, 2)).astype(dtype)  # more than one block of `apply`
        numba, numpy = (Augmentation(**ALL, seed=1, backend=backend).apply(x) for backend in ("numba", "numpy"))
        assert numba.dtype == numpy.dtype == dtype
        np.testing.assert_allclose(numba, numpy, atol=tolerance)


def test_whatever_x_is_it_becomes_floats(backend):
    pixels = (255 * X).astype(np.uint8)
    augmentation = Augmentation(shift=2, seed=1, backend=backend)
    images = augmentation.apply(pixels)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, augmentation.apply(pixels.astype(float)))
    np.testing.assert_array_equal(images, augmentation.apply(np.asfortranarray(pixels)))


def test_mixed_targets_belong_to_mixed_images(backend):
    augmentation = Augmentation(mixup=1, seed=1, backend=backend)
    x = np.eye(5)[Y]
    np.testing.assert_array_equal(augmentation.apply(x), augmentation.apply_to_targets(x))
    targets = augmentation.apply_to_targets(x, epoch=1)
    np.testing.assert_allclose(targets.sum(axis=1), 1)
    assert (targets[np.arange(44), Y] >= 0.5).all()
    assert (targets.max(axis=1) < 0.95).any()
    np.testing.assert_array_equal(Augmentation(shift=2).apply_to_targets(x), x)


LOSSES = [
    (fn.SoftmaxCrossEntropy, Y, 5),
    (lambda: fn.SoftmaxCrossEntropy(label_smoothing=0.1), np.eye(5)[Y], 5),
    (lambda: fn.SoftmaxCrossEntropy(class_weights=[1, 2, 3, 4, 5]), Y, 5),
    (fn.SoftmaxCrossEntropy, 0.8 * np.eye(5)[Y] + 0.04, 5),
    (fn.MeanSquaredError, Y, 5),
    (fn.MeanSquaredError, RNG.standard_normal((44, 5)), 5),
    (fn.BinaryCrossEntropy, RNG.integers(0, 2, 44), 1),
]


@pytest.mark.skipif("numba" not in BACKENDS, reason="there is no compiled backend to record")
@pytest.mark.parametrize(("loss", "y", "outputs"), LOSSES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_recorded_steps_have_the_bits_of_steps_through_python(loss, y, outputs, shuffle):
    recorded, python = make(loss=loss(), outputs=outputs), through_python(make(loss=loss(), outputs=outputs))
    histories = [fitted(model, y=y, shuffle=shuffle, augmentation=Augmentation(**ALL)) for model in (recorded, python)]
    is_recorded = [any(s._recording is not None for s in m._recordings.values()) for m in (recorded, python)]
    assert is_recorded == [getattr(recorded.loss, "class_weights", None) is None, False]
    assert histories[0].loss == histories[1].loss
    np.testing.assert_array_equal(recorded.parameters, python.parameters)


def test_fit_trains_on_what_apply_gives(backend):
    augmentation = Augmentation(**ALL, seed=5, backend=backend)
    model, twin = make(backend), make(backend)
    fitted(model, epochs=2, seed=1, augmentation=augmentation)
    order, rng = np.arange(44), np.random.default_rng(1)
    for epoch in range(2):
        rng.shuffle(order)
        for start in range(0, 44, 10):
            rows = order[start : start + 10]
            targets = augmentation.apply_to_targets(np.eye(5)[Y[rows]], rows, epoch)
            twin.train_batch(augmentation.apply(X[rows], rows, epoch), targets)
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-5, atol=1e-6)


def test_blocks_of_steps_and_single_steps_are_the_same():
    class Hook(fn.Callback):
        def on_batch_end(self, batch, logs):
            pass

    singly, blocks = make(), make()
    first = fitted(singly, epochs=5, batch_size=4, callbacks=[Hook()], augmentation=Augmentation(**ALL))
    second = fitted(blocks, epochs=5, batch_size=4, augmentation=Augmentation(**ALL))
    assert first.loss == second.loss


def test_the_seed_is_the_models_unless_it_has_its_own(backend):
    runs = [
        fitted(make(backend, seed=seed), augmentation=Augmentation(shift=3, rotate=90, seed=own), seed=order).loss
        for seed, own, order in [(3, None, None), (3, None, None), (3, None, 7), (3, 1, 7), (3, 2, 7), (3, 2, 7)]
    ]
    assert runs[0] == runs[1]
    assert runs[4] == runs[5]
    assert len(set(map(tuple, runs))) == 4


def test_a_second_training_with_another_seed_differs(backend):
    """Equal settings share a recording; the seed is no part of it."""
    model, twin = make(backend), make(backend)
    for seed in (1, 2):
        first = fitted(model, augmentation=Augmentation(rotate=90, seed=seed), seed=0)
        second = fitted(twin, augmentation=Augmentation(rotate=90, seed=1), seed=0)
        assert (first.loss == second.loss) is (seed == 1)
    fitted(model)  # and without any
    assert len(model._recordings) <= 6


def test_validation_data_stay_as_they_are(backend):
    model = make(backend)
    history = fitted(model, validation_split=0.25, augmentation=Augmentation(**ALL))
    assert model.evaluate(X[33:], Y[33:]) == pytest.approx((history.val_loss[-1], history.val_accuracy[-1]), rel=1e-5)


def test_accuracy_counts_the_heavier_class(backend):
    model = fn.Sequential([fn.Flatten()], (5,), backend=backend, seed=0)
    model.compile(fn.SGD(0.1))
    history = model.fit(np.eye(5)[Y], Y, epochs=2, batch_size=11, augmentation=Augmentation(mixup=1), verbose=False)
    assert history.accuracy == [1, 1]
    assert 0 < history.loss[0] != history.loss[1]


def test_a_network_learns_with_it(backend):
    y = np.arange(200) % 2
    x = np.zeros((200, 8, 8, 1))
    x[y == 0, 3:5, 1:7], x[y == 1, 1:7, 3:5] = 1, 1  # a horizontal bar or a vertical one
    layers = [fn.Flatten(), fn.Dense(64, 16), fn.ReLU(), fn.Dense(16, 2)]
    model = fn.Sequential(layers, (8, 8, 1), backend=backend, seed=0)
    augmentation = Augmentation(shift=1, rotate=15, elastic=(5, 2), flip=True, cutout=2, mixup=0.2)
    model.fit(x, y, epochs=15, batch_size=20, augmentation=augmentation, verbose=False)
    assert model.evaluate(x, y)[1] == 1


def threaded_outputs():
    model = make(seed=0)
    x, y = np.random.default_rng(0).random((200, 9, 8, 2)), np.arange(200) % 5
    model.fit(x, y, epochs=2, batch_size=64, augmentation=Augmentation(**ALL, seed=1), verbose=False)
    return [model.parameters, Augmentation(**ALL, seed=1).apply(x)]


@pytest.mark.skipif("numba" not in BACKENDS, reason="only kernels have threads")
def test_same_bits_for_any_number_of_threads():
    assert len(set(threads.digests("test_augmentation"))) == 1


def test_settings_are_fixed_and_compared():
    augmentation = Augmentation(**ALL, seed=1)
    assert augmentation == Augmentation(**ALL, seed=2)
    assert hash(augmentation) == hash(Augmentation(**ALL))
    assert augmentation != Augmentation(**ALL | {"crop": 3})
    assert (augmentation.shift, augmentation.flip, augmentation.crop) == ((1.5, 1.5), "both", 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        augmentation.crop = 3
    assert Augmentation(seed=np.random.default_rng(1)).seed == Augmentation(seed=np.random.default_rng(1)).seed
    assert "shift=(1.5, 1.5)" in repr(augmentation)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shift": -1}, ValueError, "shift must be >= 0, got -1"),
        ({"shift": (1, 2, 3)}, ValueError, r"shift must be 0 or a pair of numbers, got \(1, 2, 3\)"),
        ({"shift": "x"}, TypeError, "shift must be a number, got 'x'"),
        ({"rotate": 181}, ValueError, "rotate must be >= 0 and <= 180, got 181"),
        ({"rotate": np.nan}, ValueError, "rotate must be >= 0 and <= 180, got nan"),
        ({"scale": 1}, ValueError, "scale must be >= 0 and < 1, got 1"),
        ({"shear": 90}, ValueError, "shear must be >= 0 and < 90, got 90"),
        ({"elastic": 8}, ValueError, "elastic must be 0 or a pair of numbers, got 8"),
        ({"elastic": np.ones(2)}, ValueError, r"elastic must be 0 or a pair of numbers, got array\(\[1., 1.\]\)"),
        ({"elastic": (8, 0.4)}, ValueError, "elastic must be >= 0.5, got 0.4"),
        ({"flip": 1}, TypeError, "flip must be one of 'horizontal', 'vertical', 'both', got int"),
        ({"flip": "left"}, ValueError, "flip must be one of 'horizontal', 'vertical', 'both', got 'left'"),
        ({"crop": 1.5}, TypeError, "crop must be an integer, got float"),
        ({"resize": 1}, ValueError, "resize must be >= 0 and < 1, got 1"),
        ({"cutout": -1}, ValueError, "cutout must be >= 0, got -1"),
        ({"mixup": -0.1}, ValueError, "mixup must be >= 0, got -0.1"),
        ({"border": "wrap"}, ValueError, "border must be one of 'constant', 'edge', 'reflect', got 'wrap'"),
        ({"fill": (0, None)}, TypeError, "fill must be a number, got None"),
        ({"seed": -1}, ValueError, "seed must be >= 0, got -1"),
        ({"backend": "torch"}, ValueError, "backend must be one of 'numba', 'numpy', got 'torch'"),
    ],
)
def test_wrong_settings(options, error, message):
    with pytest.raises(error, match=f"^Augmentation: {message}$"):
        Augmentation(**options)


def test_wrong_data():
    augmentation = Augmentation(shift=1, backend="numpy")
    with pytest.raises(ValueError, match=r"^Augmentation: x must have shape \(N, H, W, C\), got \(44, 8\)$"):
        augmentation.apply(np.ones((44, 8)))
    with pytest.raises(ValueError, match=r"^Augmentation: x must not be empty, got shape \(0, 8, 8, 1\)$"):
        augmentation.apply(np.ones((0, 8, 8, 1)))
    with pytest.raises(TypeError, match="^Augmentation: x must hold real numbers, got dtype <U1$"):
        augmentation.apply(["x"])
    with pytest.raises(ValueError, match="^Augmentation: epoch must be >= 0, got -1$"):
        augmentation.apply(X, epoch=-1)
    with pytest.raises(ValueError, match=r"^Augmentation: rows must be 44 row numbers >= 0, got shape \(3,\), dtype"):
        augmentation.apply(X, [1, 2, 3])
    with pytest.raises(ValueError, match="^Augmentation: rows must be 44 row numbers >= 0, got -44 in row 0$"):
        augmentation.apply(X, np.arange(44) - 44)
    with pytest.raises(ValueError, match="^Augmentation: fill must be a number or 2 of them, got 3$"):
        Augmentation(crop=1, fill=(1, 2, 3)).apply(X)
    model = fn.Sequential([fn.Dense(8, 5)], (8,), backend="numpy")
    with pytest.raises(ValueError, match=r"^Sequential: x must have shape \(N, H, W, C\) for augmentation, got"):
        fitted(model, np.ones((44, 8)), augmentation=augmentation)
    with pytest.raises(TypeError, match="^Sequential: augmentation must be an Augmentation, got 'shift'$"):
        fitted(model, np.ones((44, 8)), augmentation="shift")
