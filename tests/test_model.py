"""Sequential: planning, flat arrays, the passes, prediction, summary, checks."""

import copy
import pickle

import numpy as np
import pytest
from backends import BACKENDS

import fastnn as fn


def mlp(backend="numpy", seed=0, dtype="float32", **options):
    layers = [fn.Dense(6, 5), fn.ReLU(), fn.Dense(5, 3)]
    return fn.Sequential(layers, (6,), backend=backend, seed=seed, dtype=dtype, **options)


def cnn(backend="numpy", seed=0, dtype="float32"):
    layers = [
        fn.Conv2D(None, 4, 3, padding="same"), fn.BatchNorm(), fn.ReLU(), fn.MaxPool2D(2), fn.Flatten(),
        fn.Dense(None, 3),
    ]  # fmt: skip
    return fn.Sequential(layers, (6, 6, 1), backend=backend, seed=seed, dtype=dtype)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_layers_hold_views_of_the_flat_arrays(backend, rng):
    model = mlp(backend)
    assert model.parameters.size == model.gradients.size == 6 * 5 + 5 + 5 * 3 + 3
    assert list(model.parameter_slices) == ["0.weights", "0.biases", "2.weights", "2.biases"]
    for name, place in model.parameter_slices.items():
        number, attribute = name.split(".")
        layer = model.layers[int(number)]
        assert np.shares_memory(getattr(layer, attribute), model.parameters[place])
        assert np.shares_memory(getattr(layer, "d" + attribute), model.gradients[place])
        np.testing.assert_array_equal(getattr(layer, attribute).ravel(), model.parameters[place])
    assert model.parameters.ctypes.data % 64 == 0

    model.layers[0].weights = np.ones((6, 5))
    assert (model.parameters[:30] == 1).all()
    model.train_batch(rng.standard_normal((4, 6)), [0, 1, 2, 0])
    np.testing.assert_array_equal(model.gradients[model.parameter_slices["2.biases"]], model.layers[2].dbiases)
    assert model.gradients.any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_against_central_differences(backend, rng):
    model = cnn(backend, dtype="float64")
    x, y = rng.standard_normal((4, 6, 6, 1)), np.array([0, 2, 1, 1])
    model.compile(fn.SGD(1e-12))
    model.train_batch(x, y)
    gradients = model.gradients.copy()
    loss = fn.SoftmaxCrossEntropy(dtype="float64", backend=backend)
    for i in range(0, model.parameters.size, 3):
        kept = model.parameters[i]
        losses = []
        for step in (1e-5, -1e-5):
            model.parameters[i] = kept + step
            losses.append(loss.forward(model.forward(x), y))
        model.parameters[i] = kept
        assert gradients[i] == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_backward_outside_fit(backend, rng):
    model, other = mlp(backend), mlp(backend)
    x, y = rng.standard_normal((4, 6)).astype(np.float32), np.array([0, 2, 1, 1])
    other.train_batch(x, y)
    loss = fn.SoftmaxCrossEntropy(backend=backend)
    loss.forward(model.forward(x), y)
    model.backward(loss.backward())
    np.testing.assert_array_equal(model.gradients, other.gradients)


def test_first_layers_compute_no_input_gradient():
    model = fn.Sequential([fn.Flatten(), fn.Dense(None, 3), fn.ReLU(), fn.Dense(3, 2)], (2, 2), backend="numpy")
    assert [layer.needs_input_gradient for layer in model.layers] == [False, False, True, True]
    model.forward(np.ones((2, 2, 2)))
    model.backward(np.ones((2, 2)))
    assert model.layers[1].dinputs is None
    assert model.layers[3].dinputs.shape == (2, 3)


def test_a_model_without_parameters_runs():
    model = fn.Sequential([fn.ReLU(), fn.Tanh()], (3,), backend="numpy")
    assert model.parameters.size == 0
    loss, accuracy = model.train_batch([[1.0, 2, 3]], [2])
    assert np.isfinite(loss)
    assert accuracy == 1


def test_shapes_from_the_first_data(rng):
    model = fn.Sequential([fn.Dense(None, 4), fn.Dense(None, 2)], backend="numpy")
    with pytest.raises(RuntimeError, match="Sequential: shapes are not known yet"):
        model.summary()
    model.fit(rng.standard_normal((5, 3)), [0, 1, 0, 1, 0], verbose=False)
    assert (model.input_shape, model.output_shape) == ((3,), (2,))
    with pytest.raises(ValueError, match=r"Sequential: x must have shape \(N, 3\), got \(5, 4\)"):
        model.predict(np.zeros((5, 4)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_predictions(backend, rng):
    model = mlp(backend)
    x = rng.standard_normal((7, 6))
    proba = model.predict_proba(x, batch_size=3)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(x), proba.argmax(axis=1))
    logits = np.maximum(x @ model.layers[0].weights + model.layers[0].biases, 0) @ model.layers[2].weights
    np.testing.assert_allclose(model.predict_outputs(x), logits + model.layers[2].biases, rtol=1e-4, atol=1e-5)
    y = np.arange(7) % 3
    loss, accuracy = model.evaluate(x, y, batch_size=2)
    assert loss == pytest.approx(-np.log(proba[np.arange(7), y]).mean(), rel=1e-5)
    assert accuracy == pytest.approx((model.predict(x) == y).mean())
    assert model.evaluate(x, np.eye(3)[y]) == pytest.approx((loss, accuracy), rel=1e-6)


def test_binary_model(rng):
    model = fn.Sequential([fn.Dense(2, 1)], (2,), backend="numpy", seed=0)
    x = rng.standard_normal((200, 2))
    y = (x[:, 0] > x[:, 1]).astype(int)
    model.compile(fn.SGD(1.0, momentum=0.9))
    model.fit(x, y, epochs=10, verbose=False)
    assert isinstance(model.loss, fn.BinaryCrossEntropy)
    assert model.evaluate(x, y)[1] > 0.97
    assert model.predict(x).shape == (200,)
    np.testing.assert_array_equal(model.predict_proba(x)[:, 0] >= 0.5, model.predict(x))
    with pytest.raises(ValueError, match=r"Sequential: y must be in 0..1, got \[2.0\] in row 1"):
        model.evaluate(x[:2], [1, 2])


def test_mean_squared_error_takes_values_and_classes(rng):
    x = rng.standard_normal((64, 3))
    line = fn.Sequential([fn.Dense(3, 1)], (3,), backend="numpy", seed=0)
    line.compile(fn.SGD(0.1), fn.MeanSquaredError())
    history = line.fit(x, x @ [1.0, 2, 3], epochs=40, verbose=False)
    assert history.loss[-1] < 1e-3
    assert np.isnan(history.accuracy).all()
    np.testing.assert_allclose(line.predict(x)[:, 0], x @ [1.0, 2, 3], atol=0.1)

    classes = fn.Sequential([fn.Dense(3, 3), fn.Sigmoid()], (3,), backend="numpy", seed=0)
    classes.compile(fn.SGD(2.0), fn.MeanSquaredError())
    y = x.argmax(axis=1)
    classes.fit(x, y, epochs=40, verbose=False)
    assert classes.evaluate(x, y)[1] > 0.9
    assert classes.evaluate(x, y) == pytest.approx(classes.evaluate(x, np.eye(3)[y]))
    assert (classes.predict(x) == y).mean() > 0.9


def test_modes(rng):
    model = fn.Sequential([fn.Dropout(0.5), fn.Dense(8, 2)], (8,), backend="numpy", seed=0)
    x = rng.standard_normal((5, 8))
    assert model.training
    assert not np.array_equal(model.forward(x), model.forward(x))
    np.testing.assert_array_equal(model.predict_outputs(x), model.predict_outputs(x))
    assert model.training
    assert model.layers[0].training
    model.eval()
    np.testing.assert_array_equal(model.forward(x), model.predict_outputs(x))
    model.train_batch(x, [0, 1, 0, 1, 0])
    assert model.training


def test_dtype_and_backend_of_the_model_reach_the_layers():
    model = fn.Sequential([fn.Dense(2, 2), fn.Softplus()], (2,), dtype="float64", backend="numpy")
    assert {layer.dtype for layer in model.layers} == {np.dtype("float64")} == {model.parameters.dtype}
    assert model.forward([[1, 2]]).dtype == np.float64
    with pytest.raises(ValueError, match="Sequential: layers must have one dtype, got float32, float64"):
        fn.Sequential([fn.Dense(2, 2), fn.ReLU(dtype="float64")])


def test_seed(rng):
    assert np.array_equal(mlp(seed=3).parameters, mlp(seed=3).parameters)
    assert not np.array_equal(mlp(seed=3).parameters, mlp(seed=4).parameters)
    x, y = rng.standard_normal((50, 6)), rng.integers(0, 3, 50)
    runs = []
    for _ in range(2):
        model = mlp(seed=3)
        runs.append(model.fit(x, y, epochs=3, batch_size=8, verbose=False).loss)
    assert runs[0] == runs[1]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_whole_and_independent(copied, rng):
    model = cnn()
    x, y = rng.standard_normal((4, 6, 6, 1)), [0, 2, 1, 1]
    model.compile(fn.SGD(0.1, momentum=0.9))
    model.train_batch(x, y)
    twin = copied(model)
    assert np.shares_memory(twin.layers[0].weights, twin.parameters)
    assert not np.shares_memory(twin.parameters, model.parameters)
    assert twin.train_batch(x, y) == model.train_batch(x, y)
    np.testing.assert_array_equal(twin.parameters, model.parameters)


def test_set_weights():
    model, other = mlp(seed=1), mlp(seed=2)
    model.set_weights(other.weights())
    np.testing.assert_array_equal(model.parameters, other.parameters)
    with pytest.raises(
        ValueError, match="Sequential: weights must have the model's names, got missing or unknown 0.biases"
    ):
        model.set_weights({name: a for name, a in other.weights().items() if name != "0.biases"})
    with pytest.raises(ValueError, match=r"Sequential: 0.weights must have shape \(6, 5\), got \(1,\)"):
        model.set_weights({**other.weights(), "0.weights": [1]})


def test_summary(capsys):
    text = cnn().summary()
    assert capsys.readouterr().out == text + "\n"
    lines = text.splitlines()
    assert lines[0].split() == ["layer", "output", "shape", "parameters", "multiply-adds"]
    assert lines[3].split() == ["0", "Conv2D", "(N,", "6,", "6,", "4)", "40", "1,296"]
    assert lines[-1].split() == ["total", f"{40 + 8 + 111}", f"{1296 + 108:,}"]


def test_wrong_models():
    with pytest.raises(ValueError, match="Sequential: layers must not be empty"):
        fn.Sequential([])
    with pytest.raises(TypeError, match=r"Sequential: layers\[1\] must be a Layer, got 'relu'"):
        fn.Sequential([fn.Dense(2, 2), "relu"])
    layer = fn.Dense(2, 2)
    with pytest.raises(ValueError, match="Sequential: layers must be different objects"):
        fn.Sequential([layer, layer])
    with pytest.raises(ValueError, match="Sequential: layer 1 does not fit: Dense: .*3"):
        fn.Sequential([fn.Dense(2, 4), fn.Dense(3, 2)], (2,))
    with pytest.raises(ValueError, match="Sequential: input_shape must be"):
        fn.Sequential([fn.Dense(2, 4)], (0,))
    with pytest.raises(ValueError, match=r"Sequential: input_shape is \(6,\) already, got \(7,\)"):
        mlp().build((7,))
    with pytest.raises(ValueError, match="Sequential: class_names must be 3 names, got 2"):
        mlp(class_names=["a", "b"])


def test_wrong_losses():
    late = fn.Sequential([fn.Dense(None, 2), fn.Softmax()], backend="numpy")
    late.compile(loss=fn.SoftmaxCrossEntropy())
    with pytest.raises(ValueError, match="SoftmaxCrossEntropy takes logits"):
        late.train_batch([[1, 2, 3]], [0])
    with pytest.raises(TypeError, match="Sequential: loss must be a Loss, got 'mse'"):
        mlp().compile(loss="mse")
    with pytest.raises(TypeError, match="Sequential: optimizer must be an Optimizer, got type"):
        mlp().compile(fn.SGD)
    for last in ([fn.Dense(2, 2), fn.Softmax()], [fn.Dense(2, 2, activation=fn.Softmax())]):
        model = fn.Sequential(last, (2,), backend="numpy")
        with pytest.raises(ValueError, match="SoftmaxCrossEntropy takes logits: leave Softmax out at the end"):
            model.compile(loss=fn.SoftmaxCrossEntropy())
    with pytest.raises(
        ValueError, match=r"SoftmaxCrossEntropy needs an output of shape \(C,\), C >= 2, got \(4, 4, 2\)"
    ):
        fn.Sequential([fn.Conv2D(1, 2, 1)], (4, 4, 1), backend="numpy").train_batch(np.ones((1, 4, 4, 1)), [0])


def test_train_batch_that_diverges_updates_nothing():
    model = mlp()
    model.layers[2].weights[:] = np.inf
    before = model.parameters.copy()
    message = "Sequential: the loss is nan; the weights were not updated"
    with np.errstate(all="ignore"), pytest.raises(fn.DivergenceError, match=message):
        model.train_batch(np.ones((2, 6)), [0, 1])
    np.testing.assert_array_equal(model.parameters, before)


def test_train_batch_refuses_nan_and_keeps_running_statistics(rng):
    model = cnn()
    before = {name: a.copy() for name, a in model.weights().items()}
    x = rng.standard_normal((2, 6, 6, 1))
    x[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="Sequential: x must be finite, got nan in row 1"):
        model.train_batch(x, [0, 1])
    for name, a in model.weights().items():
        np.testing.assert_array_equal(a, before[name])


def test_class_weights_must_fit_the_output():
    model = fn.Sequential([fn.Dense(4, 3)], input_shape=(4,), backend="numpy")
    with pytest.raises(ValueError, match=r"Sequential: class_weights must be 3 numbers, got 2"):
        model.compile(loss=fn.SoftmaxCrossEntropy(class_weights=[1, 2], backend="numpy"))


def test_backward_checks_its_argument_and_wants_a_forward():
    model = fn.Sequential([fn.Dense(4, 3)], input_shape=(4,), backend="numpy")
    with pytest.raises(RuntimeError, match=r"Sequential: backward needs a forward before it"):
        model.backward(np.ones((2, 3)))
    model.forward(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"Sequential: dy must have shape \(2, 3\), got \(2, 4\)"):
        model.backward(np.ones((2, 4)))
