"""Optimizers: each rule written out, clipping, decay and counting, state."""

import numpy as np
import pytest
from backends import BACKENDS

from fastnn.layers import Dense, ReLU
from fastnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from fastnn.schedules import Exponential

STEPS = 5


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def dense(backend, seed=0):
    return Dense(3, 2, backend=backend, dtype="float64", seed=seed)


def grads():
    return np.random.default_rng(0).standard_normal((STEPS, 8))


def trained(optimizer, backend):
    """The parameters after STEPS updates of a layer, and those at the beginning."""
    layer = dense(backend)
    start = layer.parameters.copy()
    for g in grads():
        layer.gradients[:] = g
        optimizer.update(layer)
    return layer.parameters, start


@pytest.mark.parametrize(("momentum", "nesterov"), [(0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("weight_decay", [0, 0.1])
@pytest.mark.parametrize("decay", [0, 0.5])
def test_sgd(backend, momentum, nesterov, weight_decay, decay):
    w, start = trained(SGD(0.1, momentum, nesterov, weight_decay, decay), backend)
    expected, v = start, np.zeros(8)
    for t, g in enumerate(grads()):
        rate = 0.1 / (1 + decay * t)
        g = g + weight_decay * expected
        v = momentum * v - rate * g
        expected = expected + (momentum * v - rate * g if nesterov else v)
    np.testing.assert_allclose(w, expected, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_rmsprop(backend, momentum):
    w, expected = trained(RMSprop(0.1, rho=0.8, eps=1e-3, momentum=momentum), backend)
    s, v = np.zeros(8), np.zeros(8)
    for g in grads():
        s = 0.8 * s + 0.2 * g**2
        v = momentum * v + 0.1 * g / (np.sqrt(s) + 1e-3)
        expected = expected - v
    np.testing.assert_allclose(w, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adam(backend, kind):
    w, expected = trained(kind(0.1, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1), backend)
    m, s = np.zeros(8), np.zeros(8)
    for t, g in enumerate(grads(), start=1):
        if kind is AdamW:
            expected = expected - 0.1 * 0.1 * expected
        else:
            g = g + 0.1 * expected
        m, s = 0.8 * m + 0.2 * g, 0.99 * s + 0.01 * g**2
        expected = expected - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(s / (1 - 0.99**t)) + 1e-3)
    np.testing.assert_allclose(w, expected, rtol=1e-12)


def test_each_update_counts_one_iteration(backend):
    optimizer = SGD(1.0, decay=1.0)
    layers = [dense(backend), ReLU(backend=backend), dense(backend)]
    rates = []
    for layer in layers * 2:
        rates.append(optimizer.current_learning_rate)
        optimizer.update(layer)
    assert rates == [1, 1 / 2, 1 / 2, 1 / 3, 1 / 4, 1 / 4]
    assert optimizer.iterations == 4


def test_memory_is_per_layer(backend):
    layers = [dense(backend, 0), dense(backend, 1)]
    alone = [dense(backend, 0), dense(backend, 1)]
    shared, own = Adam(0.1), [Adam(0.1), Adam(0.1)]
    for g in grads():
        for number in range(2):
            layers[number].gradients[:] = alone[number].gradients[:] = g * (number + 1)
            shared.update(layers[number])
            own[number].update(alone[number])
    for layer, twin in zip(layers, alone, strict=True):
        np.testing.assert_array_equal(layer.parameters, twin.parameters)


class Model:
    """What an optimizer needs of a model: two layers in one flat array."""

    def __init__(self, backend):
        self.backend = backend
        self.parameters, self.gradients = np.ones(6), np.arange(6.0)
        self.parameter_slices = {"0.weights": slice(0, 2), "1.weights": slice(2, 6)}


def test_step_counts_once(backend):
    optimizer, model = SGD(0.5), Model(backend)
    optimizer.step(model)
    assert optimizer.iterations == 1
    np.testing.assert_allclose(model.parameters, 1 - 0.5 * np.arange(6))


@pytest.mark.parametrize("kind", [lambda: SGD(0.1, momentum=0.9), lambda: RMSprop(0.01), lambda: Adam(0.01)])
def test_large_arrays_are_updated_in_parts_that_miss_nothing(backend, kind):
    ends = [100, 40_100, 40_150, 90_150, 90_153]  # two large arrays among small ones
    rng = np.random.default_rng(5)
    w, gradients = rng.standard_normal(ends[-1]), rng.standard_normal((2, ends[-1]))
    cut, whole = Model(backend), Model(backend)
    for model, places in ((cut, zip([0, *ends], ends, strict=False)), (whole, [(0, ends[-1])])):
        model.parameters, optimizer = w.copy(), kind()
        model.parameter_slices = {str(place): slice(*place) for place in places}
        for model.gradients in gradients:
            optimizer.step(model)
    np.testing.assert_allclose(cut.parameters, whole.parameters, rtol=1e-12)
    assert (cut.parameters != w).all()


def test_clipping(backend):
    g = np.arange(6.0)
    model = Model(backend)
    SGD(0.5, clip_value=2).step(model)
    np.testing.assert_array_equal(model.gradients, np.minimum(g, 2))
    model = Model(backend)
    SGD(0.5, clip_norm=2.0).step(model)
    np.testing.assert_allclose(model.gradients, [*g[:2], *(2 * g[2:] / np.linalg.norm(g[2:]))])
    np.testing.assert_allclose(model.parameters, 1 - 0.5 * model.gradients)
    model = Model(backend)
    SGD(0.5, clip_global_norm=1).step(model)
    np.testing.assert_allclose(model.gradients, g / np.linalg.norm(g))
    model = Model(backend)
    SGD(0.5, clip_value=4, clip_norm=5, clip_global_norm=3).step(model)
    cut = np.minimum(g, 4)
    cut[2:] *= min(1, 5 / np.linalg.norm(cut[2:]))
    np.testing.assert_allclose(model.gradients, cut * 3 / np.linalg.norm(cut))


def test_clipping_of_a_layers_own_arrays(backend):
    layer = dense(backend)
    layer.gradients[:] = 3
    SGD(0.1, clip_norm=1).update(layer)
    assert np.linalg.norm(layer.dweights) == pytest.approx(1)
    assert np.linalg.norm(layer.dbiases) == pytest.approx(1)


def test_small_gradients_are_not_clipped(backend):
    model = Model(backend)
    SGD(0.5, clip_value=9, clip_norm=99, clip_global_norm=99).step(model)
    np.testing.assert_array_equal(model.gradients, np.arange(6))


def test_learning_rate_can_be_a_schedule_and_can_be_assigned(backend):
    optimizer = SGD(Exponential(1.0, 0.5, steps_per_epoch=2))
    rates = []
    for _ in range(5):
        rates.append(optimizer.current_learning_rate)
        optimizer.update(dense(backend))
    assert rates == [1, 1, 0.5, 0.5, 0.25]
    optimizer.learning_rate = 0.3
    assert optimizer.learning_rate == optimizer.current_learning_rate == 0.3
    optimizer.learning_rate *= 0.5
    assert optimizer.current_learning_rate == 0.15
    with pytest.raises(ValueError, match="^SGD: learning_rate must be >= 0, got -1$"):
        optimizer.learning_rate = -1


def test_plan_reaches_the_schedule(backend):
    optimizer = SGD(Exponential(1.0, 0.5))
    with pytest.raises(RuntimeError, match="^Exponential: steps_per_epoch is open; pass it, or train with fit$"):
        optimizer.update(dense(backend))
    optimizer.plan(total_steps=10, steps_per_epoch=1)
    optimizer.update(dense(backend))
    assert optimizer.current_learning_rate == 0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: SGD(0.1, momentum=0.9),
        lambda: SGD(0.1),
        lambda: RMSprop(0.1),
        lambda: RMSprop(0.1, momentum=0.5),
        lambda: Adam(0.1, decay=0.1),
        lambda: AdamW(0.1),
    ],
)
def test_state_continues_exactly(backend, make):
    layers, twins = [dense(backend, 0), dense(backend, 1)], [dense(backend, 0), dense(backend, 1)]
    first, second = make(), make()
    for step, g in enumerate(grads()):
        if step == 2:
            state = first.state()
            assert state["iterations"] == 4
            assert state["1.step"] == 2
            for layer, twin in zip(layers, twins, strict=True):
                twin.parameters[:] = layer.parameters
            second.load_state(state)
            assert second.state().keys() == state.keys()
        for layer, twin in zip(layers, twins, strict=True):
            layer.gradients[:] = twin.gradients[:] = g
            first.update(layer)
            if step >= 2:
                second.update(twin)
    for layer, twin in zip(layers, twins, strict=True):
        np.testing.assert_array_equal(twin.parameters, layer.parameters)
    assert second.iterations == first.iterations


def test_wrong_states(backend):
    optimizer, layer = Adam(0.1), dense(backend)
    optimizer.update(layer)
    state = optimizer.state()
    with pytest.raises(ValueError, match="^Adam: state must hold 'iterations', got nothing$"):
        optimizer.load_state({})
    with pytest.raises(ValueError, match="^SGD: state must hold step, v by number, got '0.m'$"):
        SGD(0.1, momentum=0.5).load_state(state)
    with pytest.raises(ValueError, match="^Adam: state must hold m, s, step, got step, s$"):
        Adam().load_state({name: value for name, value in state.items() if name != "0.m"})
    optimizer.load_state(state)
    with pytest.raises(ValueError, match=r"^Adam: state 'm' must have shape \(5,\), got \(8,\)$"):
        optimizer.update(Dense(4, 1, backend=backend, dtype="float64"))


def test_reset_and_a_changed_layer_begin_anew(backend):
    optimizer, layer = Adam(0.1), dense(backend)
    optimizer.update(layer)
    optimizer.reset()
    assert optimizer.state() == {"iterations": 0}
    optimizer.update(layer)
    layer.place(dtype="float32")
    optimizer.update(layer)
    assert optimizer.state()["0.m"].dtype == np.float32
    assert optimizer.state()["0.step"] == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD("fast"), TypeError, "SGD: learning_rate must be a number, got 'fast'"),
        (lambda: SGD(float("nan")), ValueError, "SGD: learning_rate must be >= 0, got nan"),
        (lambda: SGD(0.1, momentum=1), ValueError, "SGD: momentum must be >= 0 and < 1, got 1"),
        (lambda: SGD(0.1, nesterov=True), ValueError, "SGD: momentum must be > 0 for nesterov, got 0"),
        (lambda: SGD(0.1, decay=-1), ValueError, "SGD: decay must be >= 0, got -1"),
        (lambda: SGD(0.1, clip_norm=0), ValueError, "SGD: clip_norm must be > 0, got 0"),
        (lambda: Adam(betas=0.9), ValueError, "Adam: betas must be a pair of numbers, got 0.9"),
        (lambda: AdamW(betas=(0.9, 1)), ValueError, "AdamW: betas must be >= 0 and < 1, got 1"),
        (lambda: RMSprop(eps=0), ValueError, "RMSprop: eps must be > 0, got 0"),
        (lambda: Adam(backend="gpu"), ValueError, "Adam: backend must be one of 'numba', 'numpy', got 'gpu'"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        make()


def test_an_optimizer_must_define_its_rule(backend):
    with pytest.raises(TypeError, match="^Optimizer must define _apply$"):
        Optimizer(0.1).update(dense(backend))
