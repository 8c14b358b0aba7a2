"""Recorded training steps: the same numbers as steps through Python, for as long as nothing changes that they hold."""

import copy
import gc
import math
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from backends import BACKENDS

import fastnn as fn
from fastnn._fusion import fused
from fastnn._step import Steps

pytestmark = pytest.mark.skipif("numba" not in BACKENDS, reason="there is no compiled backend to record")

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((44, 8, 8, 2)).astype(np.float32), RNG.integers(0, 5, 44)


def layers():
    return [
        fn.Conv2D(2, 6, 3, padding="same"),
        fn.ReLU(),
        fn.MaxPool2D(2),
        fn.Residual([fn.Conv2D(6, 6, 3, padding="same"), fn.BatchNorm(), fn.ReLU()]),
        fn.BatchNorm(),
        fn.Flatten(),
        fn.Dropout(0.3),
        fn.Dense(None, 12, activation="gelu"),
        fn.Dense(12, 7),
        fn.Tanh(),
        fn.Dense(7, 5),
    ]


def make(optimizer=None, loss=None, net=layers):
    model = fn.Sequential(net(), (8, 8, 2), seed=3)
    model.compile(optimizer or fn.SGD(0.05, momentum=0.9), loss)
    return model


def through_python(model):
    """The same model with a layer that is not fastnn's own, so that none of its steps is recorded."""

    kind = type(model.layers[1])
    model.layers[1].__class__ = type("Own", (kind,), {})
    return model


def is_recorded(model):
    return any(steps._recording is not None for steps in model._recordings.values())


OPTIMIZERS = [
    lambda: fn.SGD(0.05, momentum=0.9, decay=0.01, clip_norm=0.1),
    lambda: fn.SGD(fn.schedules.Cosine(0.1), nesterov=True, momentum=0.5, weight_decay=0.01),
    lambda: fn.RMSprop(0.001, clip_value=0.01),
    lambda: fn.Adam(fn.schedules.OneCycle(0.01), clip_global_norm=0.5),
    lambda: fn.AdamW(0.01),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_recorded_steps_have_the_bits_of_steps_through_python(optimizer, shuffle):
    recorded, python = make(optimizer()), through_python(make(optimizer()))
    histories = [
        model.fit(X, Y, epochs=3, batch_size=10, shuffle=shuffle, verbose=False) for model in (recorded, python)
    ]
    assert is_recorded(recorded)
    assert not is_recorded(python)
    assert histories[0].loss == histories[1].loss
    assert histories[0].accuracy == histories[1].accuracy
    for name, weights in recorded.weights().items():
        np.testing.assert_array_equal(weights, python.weights()[name], name)
    assert recorded.optimizer.iterations == python.optimizer.iterations == 15


@pytest.mark.parametrize(
    ("loss", "y", "outputs"),
    [
        (lambda: fn.SoftmaxCrossEntropy(label_smoothing=0.1), Y, 5),
        (fn.MeanSquaredError, Y, 5),
        (fn.MeanSquaredError, RNG.standard_normal((44, 5)), 5),
        (fn.BinaryCrossEntropy, RNG.integers(0, 2, (44, 5)), 5),
        (fn.BinaryCrossEntropy, RNG.integers(0, 2, 44), 1),
    ],
)
def test_every_loss_and_kind_of_target(loss, y, outputs):
    def net():
        return [*layers()[:-1], fn.Dense(7, outputs)]

    recorded, python = make(loss=loss(), net=net), through_python(make(loss=loss(), net=net))
    for _ in range(3):
        np.testing.assert_equal(recorded.train_batch(X[:9], y[:9]), python.train_batch(X[:9], y[:9]))
    assert is_recorded(recorded)
    np.testing.assert_array_equal(recorded.parameters, python.parameters)


def test_class_weights_go_through_python():
    model = make(loss=fn.SoftmaxCrossEntropy(class_weights=[1, 2, 3, 4, 5]))
    before = model.train_batch(X, Y)[0]
    for _ in range(20):
        model.train_batch(X, Y)
    assert not is_recorded(model)
    assert model.train_batch(X, Y)[0] < before


CHANGES = {
    "momentum": lambda model: setattr(model.optimizer, "momentum", 0.1),
    "clipping": lambda model: setattr(model.optimizer, "clip_value", 1e-3),
    "rate": lambda model: setattr(model.optimizer, "learning_rate", 1e-3),
    "memory": lambda model: model.optimizer.reset(),
    "smoothing": lambda model: setattr(model.loss, "label_smoothing", 0.5),
    "dropout": lambda model: setattr(model.layers[6], "rate", 0.9),
    "batch norm": lambda model: setattr(model.layers[3].layers[1], "momentum", 0.9),
    "one layer in inference mode": lambda model: model.layers[4].eval(),
    "compile": lambda model: model.compile(fn.SGD(0.01)),
    "weights": lambda model: setattr(model.layers[0], "weights", np.zeros(model.layers[0].weights.shape)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_counts_from_the_next_step_on(change):
    models = make(), through_python(make())
    for model in models:
        for _ in range(3):
            model.train_batch(X[:10], Y[:10])
        change(model)
        for _ in range(3):
            model.train_batch(X[10:20], Y[10:20])
    for name, weights in models[0].weights().items():
        np.testing.assert_array_equal(weights, models[1].weights()[name], name)


def test_an_activation_inside_a_layer_counts_too():
    def net(activation):
        return [fn.Flatten(), fn.Dense(128, 9, activation=activation), fn.Dense(9, 5)]

    changed, expected = (make(net=lambda: net(fn.LeakyReLU(0.3))) for _ in range(2))
    for model in (changed, through_python(expected)):
        for _ in range(3):
            model.train_batch(X[:9], Y[:9])
        model.layers[1].activation.alpha = 0.01
        for _ in range(3):
            model.train_batch(X[:9], Y[:9])
    np.testing.assert_array_equal(changed.parameters, expected.parameters)


def test_a_loss_that_is_not_finite_updates_nothing_and_ends_the_block():
    model = make()
    x = X[:40].copy()
    targets = model.check_data(x, Y[:40])[1]
    steps = Steps(model, x, targets.values, targets.kind, 10)
    assert steps.run(x, targets.values, None, 4)[2] == 4
    x[23] = np.nan
    before, states = model.optimizer.iterations, model.layers[4].running_mean.copy()
    losses, accuracies, done = steps.run(x, targets.values, None, 4)
    assert done == 2
    assert np.isfinite(losses).tolist() == [True, True, False, False]
    assert np.isfinite(accuracies).tolist() == [True, True, False, False]
    assert model.optimizer.iterations == before + 2
    assert np.isfinite(model.parameters).all()
    assert not np.array_equal(model.layers[4].running_mean, states)
    with pytest.raises(RuntimeError, match="the loss is nan"):
        make().train_batch(np.full((2, 8, 8, 2), 1e38), Y[:2])


def test_a_recording_does_not_keep_the_data_alive():
    model = make()
    x, y = X.copy(), np.array(Y)
    kept = weakref.ref(x)
    model.fit(x, y, epochs=2, batch_size=10, verbose=False)
    model.fit(x, y, epochs=2, batch_size=10, shuffle=False, verbose=False)
    model.predict_proba(x)
    assert is_recorded(model)
    del x
    gc.collect()
    assert kept() is None


def test_a_copy_records_its_own_steps():
    model = make()
    for _ in range(2):
        model.train_batch(X[:10], Y[:10])
    twin = copy.deepcopy(model)
    assert not is_recorded(twin)
    before = model.parameters.copy()
    for _ in range(3):
        twin.train_batch(X[:10], Y[:10])
    np.testing.assert_array_equal(model.parameters, before)


def test_results_that_a_caller_holds_are_not_overwritten():
    model = make()
    output = model.forward(X[:10])
    before = output.copy()
    for _ in range(4):
        model.train_batch(X[10:20], Y[10:20])
    np.testing.assert_array_equal(output, before)


def test_a_step_leaves_no_results_in_the_layers():
    model = make()
    for _ in range(2):
        model.train_batch(X[:10], Y[:10])
        assert all(layer.output is None and layer.dinputs is None for layer in model.layers)


def test_only_a_few_batch_sizes_are_kept():
    model = make()
    for size in range(2, 12):
        model.train_batch(X[:size], Y[:size])
    assert len(model._recordings) == 6


def test_blocks_of_steps_and_single_steps_are_the_same():
    class Hook(fn.Callback):
        losses: list[float] = []

        def on_batch_end(self, batch, logs):
            self.losses.append(logs["loss"])

    singly, blocks = make(), make()
    hook = Hook()
    first = singly.fit(X, Y, epochs=4, batch_size=4, callbacks=[hook], verbose=False, seed=1)
    second = blocks.fit(X, Y, epochs=4, batch_size=4, verbose=False, seed=1)
    assert first.loss == second.loss
    assert len(hook.losses) == 44


def test_fused_layers_give_the_same_bits():
    model = make()
    assert [type(layer).__name__ for layer in fused(model.layers)[:2]] == ["_ConvPool", "_Skip"]
    assert len(fused(model.layers)) == len(model.layers) - 3  # Conv2D, MaxPool2D and ReLU; Dense and Tanh
    model.eval()
    plain = model.forward(X)
    np.testing.assert_array_equal(plain, model.predict_outputs(X, batch_size=64))
    assert math.isclose(model.evaluate(X, Y)[0], fn.SoftmaxCrossEntropy().forward(plain, Y), rel_tol=1e-6)


def pooled(end, **settings):
    """A first convolution with the pooling and the ReLU after it, or before it, or without."""
    activation = "relu" if end == "activation" else None
    first = fn.Conv2D(2, 6, 3, padding="same", activation=activation, **settings)
    after = [fn.MaxPool2D(2), fn.ReLU()] if end == "after" else [fn.ReLU(), fn.MaxPool2D(2)]
    after = after if end in ("before", "after") else [fn.MaxPool2D(2)]
    return [first, *after, fn.Conv2D(6, 4, 3), fn.MaxPool2D(2), fn.ReLU(), fn.Flatten(), fn.Dense(None, 5)]


@pytest.mark.parametrize("rows", [10, 35])  # the first has its kernels for whole vectors of images
@pytest.mark.parametrize("end", ["before", "after", "activation", "nothing"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_fused_pooling_gives_the_same_numbers(backend, bias, end, rows):
    rng = np.random.default_rng(0)
    model = fn.Sequential(pooled(end, bias=bias), (9, 10, 2), seed=3, backend=backend)
    model.parameters += rng.normal(0, 0.3, model.parameters.size).astype(np.float32)
    assert [type(layer).__name__ for layer in fused(model.layers)] == ["_ConvPool", "_ConvPool", "Flatten", "Dense"]
    x, dy = (rng.standard_normal(s).astype(np.float32) for s in ((rows, 9, 10, 2), (rows, 5)))
    outputs, gradients = [], []
    for forward, backward in ((model.forward, model.backward), (model.pass_forward, model.pass_backward)):
        outputs.append(forward(x).copy())
        model.gradients[:] = np.nan
        backward(dy)
        gradients.append(model.gradients.copy())
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pixels", [14, 17])  # the second leaves a row and a column out
@pytest.mark.parametrize("backend", BACKENDS)
def test_pooling_fused_with_winograd_gives_the_same_numbers(backend, pixels):
    net = [fn.Conv2D(1, 8, 3, padding="same"), fn.Conv2D(8, 30, 3), fn.ReLU(), fn.MaxPool2D(2), fn.Conv2D(30, 40, 3)]
    model = fn.Sequential([*net, fn.MaxPool2D(2), fn.Flatten(), fn.Dense(None, 5)], (pixels, pixels, 1), seed=3,
                          backend=backend)  # fmt: skip
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal(s).astype(np.float32) for s in ((40, pixels, pixels, 1), (40, 5)))
    model.compile()
    outputs, gradients = [], []
    for forward, backward in ((model.forward, model.backward), (model.pass_forward, model.pass_backward)):
        outputs.append(forward(x).copy())
        model.gradients[:] = np.nan
        backward(dy)
        gradients.append(model.gradients.copy())
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [{"stride": 2}, {"dilation": 2}, {"groups": 2}, {"activation": "tanh"}, {"padding": 1, "pool_size": 3}],
)
def test_other_convolutions_are_not_fused_with_pooling(change):
    pool = fn.MaxPool2D(change.pop("pool_size", 2))
    model = fn.Sequential([fn.Conv2D(2, 6, 3, **change), pool, fn.Flatten(), fn.Dense(None, 5)], (9, 10, 2))
    assert len(fused(model.layers)) == len(model.layers)


def normed():
    """Batch norm before ReLU, also with pooling after it, and skip connections that end with it and do not."""
    block = [fn.Conv2D(4, 4, 3, padding="same"), fn.BatchNorm(), fn.ReLU(), fn.Conv2D(4, 4, 1), fn.BatchNorm()]
    return [
        *(fn.Conv2D(2, 4, 3, padding="same", bias=False), fn.BatchNorm(), fn.ReLU(), fn.MaxPool2D(2)),
        *(fn.Residual(block), fn.ReLU(), fn.Residual([fn.Residual([fn.BatchNorm()]), fn.ReLU()]), fn.ReLU()),
        *(fn.Flatten(), fn.BatchNorm(), fn.ReLU(), fn.Dense(None, 5)),
    ]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("trained_from", ["the start", "a skip connection"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_fused_batch_norm_gives_the_same_numbers(backend, trained_from, training):
    rng = np.random.default_rng(0)
    net, shape = (normed(), (8, 8, 2)) if trained_from == "the start" else (normed()[4:], (4, 4, 4))
    model = fn.Sequential(net, shape, seed=3, backend=backend)
    model.parameters += rng.normal(0, 0.3, model.parameters.size).astype(np.float32)
    assert len(fused(model.layers)) == len(model.layers) - (3 if trained_from == "the start" else 2)
    x, dy = (rng.standard_normal(s).astype(np.float32) for s in ((10, *shape), (10, 5)))
    model.switch(training)
    outputs, gradients = [], []
    for forward, backward in ((model.forward, model.backward), (model.pass_forward, model.pass_backward)):
        outputs.append(forward(x).copy())
        model.gradients[:] = np.nan
        backward(dy)
        gradients.append(model.gradients.copy())
    equal = np.testing.assert_array_equal if backend == "numba" else np.testing.assert_allclose
    tolerance = {} if backend == "numba" else {"rtol": 1e-4, "atol": 1e-5}
    equal(*outputs, **tolerance)
    equal(*gradients, **tolerance)


@pytest.mark.parametrize("loss", [fn.SoftmaxCrossEntropy, fn.BinaryCrossEntropy, fn.MeanSquaredError])
def test_recorded_predictions_are_those_of_a_pass_through_python(loss):
    recorded, python = make(loss=loss()), through_python(make(loss=loss()))
    for model in (recorded, python):
        for _ in range(3):
            model.train_batch(X[:9], np.eye(5)[Y[:9]])
    for predict in ("predict_proba", "predict_outputs", "predict"):
        for rows in (44, 1, 1, 30):  # whole batches and short ones, in the first call and later ones
            results = [getattr(model, predict)(X[:rows], batch_size=10) for model in (recorded, python)]
            np.testing.assert_array_equal(*results)
    assert recorded.training
    assert is_recorded(recorded)
    assert not is_recorded(python)


def test_predictions_follow_the_weights_and_the_running_statistics():
    model = make()
    model.train_batch(X, Y)
    model.predict_proba(X)
    model.train_batch(X, Y)
    model.eval()
    np.testing.assert_array_equal(model.forward(X), model.predict_outputs(X, batch_size=64))


def test_a_network_whose_output_is_its_input_can_predict():
    model = fn.Sequential([fn.Flatten()], (2, 3))
    x = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    for _ in range(3):
        np.testing.assert_array_equal(model.predict_outputs(x, batch_size=2), x.reshape(4, 6))


def test_threads_that_predict_with_one_model_take_turns():
    model = make()
    model.train_batch(X, Y)
    expected = [model.predict_proba(X[i : i + 3]) for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            found = list(pool.map(lambda i: model.predict_proba(X[i : i + 3]), range(40)))
            np.testing.assert_array_equal(found, expected)


def test_layers_that_are_joined_follow_a_later_backend():
    model = fn.Sequential([fn.Dense(8, 6), fn.ReLU(), fn.Dense(6, 5)], (8,), seed=0)
    model.compile(fn.SGD(0.1))
    x = RNG.standard_normal((20, 8)).astype(np.float32)
    model.fit(x, Y[:20], batch_size=5, verbose=False)
    assert is_recorded(model)
    model.layers[0].place(backend="numpy")
    joined = model._step_forwards[0].__self__
    assert joined is not model.layers[0]
    assert joined.backend == "numpy"
    model.layers[0].place(backend="numba")
    assert joined.backend == "numba"
    model.fit(x, Y[:20], batch_size=5, verbose=False)
    np.testing.assert_array_equal(model.predict(x), model.forward(x).argmax(axis=1))


def test_a_built_model_keeps_its_dtype():
    inner = fn.Conv2D(2, 2, 3, padding="same", activation="relu")
    model = fn.Sequential([fn.Residual([inner]), fn.Flatten(), fn.Dense(128, 5), fn.ReLU()], (8, 8, 2), seed=0)
    for layer in (model.layers[0], inner, inner.activation, model.layers[2], model.layers[3]):
        before = layer.config()
        message = rf"^{type(layer).__name__}: dtype must stay float32 in a built model, got float64$"
        with pytest.raises(RuntimeError, match=message):
            layer.place(dtype="float64", backend="numpy")
        assert layer.config() == before
        layer.place(dtype="float32")
    unbuilt = fn.Sequential([fn.Dense(8, 6)])
    unbuilt.layers[0].place(dtype="float64")
    assert unbuilt.layers[0].weights.dtype == np.float64
