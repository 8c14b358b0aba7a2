"""Which layer an array belongs to: the spellings that scripts use, and those that say too little."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.errors import CheckpointError
from fastnn.formats import names

W1, B1, W2, B2 = np.ones((4, 3)), np.ones(3), np.full((3, 2), 2.0), np.full(2, 2.0)


def numbered(*spelled):
    """The four arrays under these places."""
    places = [place if isinstance(place, tuple) else (place,) for place in spelled]
    return list(zip(places, (W1, B1, W2, B2), strict=True))


@pytest.mark.parametrize(
    "arrays",
    [
        numbered("W1", "b1", "W2", "b2"),
        numbered("w0", "B0", "w1", "B1"),
        numbered("weights_1", "biases_1", "weights_2", "biases_2"),
        numbered("layer1.W", "layer1.b", "layer2.W", "layer2.b"),
        numbered("Layer_1_weight", "Layer_1_bias", "Layer_2_weight", "Layer_2_bias"),
        numbered("dense1/kernel", "dense1/bias", "dense2/kernel", "dense2/bias"),
        numbered("1-W", "1-b", "2-W", "2-b"),
        numbered("0.weights", "0.biases", "2.weights", "2.biases")[:2] + numbered("", "", "1.weights", "1.biases")[2:],
        numbered((0, "weights"), (0, "biases"), (1, "weights"), (1, "biases")),
        numbered((0, "W"), (0, "b"), (3, "W"), (3, "b")),  # layers without weights between them
        numbered(("weights", 0), ("biases", 0), ("weights", 1), ("biases", 1)),
        numbered(("coefs_", 0), ("intercepts_", 0), ("coefs_", 1), ("intercepts_", 1)),
        numbered(("params", "W1"), ("params", "b1"), ("params", "W2"), ("params", "b2")),
        numbered(("1", "W"), ("1", "b"), ("2", "W"), ("2", "b")),
        numbered(("model", "layers", 0, "W"), ("model", "layers", 0, "b"), ("model", "layers", 1, "W"),
                 ("model", "layers", 1, "b")),
        numbered((0, 0), (0, 1), (1, 0), (1, 1)),
        numbered(0, 1, 2, 3),
    ],
)  # fmt: skip
def test_spellings(arrays):
    for order in (arrays, arrays[::-1]) if any(isinstance(part, str) for part in arrays[0][0]) else (arrays,):
        modules, ignored = names.numpy_modules(order)
        assert ignored == []
        assert [module.arrays["weight"] is a for module, a in zip(modules, (W1, W2), strict=True)] == [True, True]
        assert [module.arrays["bias"] is a for module, a in zip(modules, (B1, B2), strict=True)] == [True, True]


def test_natural_order():
    arrays = [((f"W{n}",), np.full((2, 2), n)) for n in (10, 2, 1, 3, 9, 4, 8, 5, 7, 6)]
    modules, _ = names.numpy_modules(arrays)
    assert [module.arrays["weight"][0, 0] for module in modules] == list(range(1, 11))


def test_lists_of_weights_and_of_biases_and_rows_for_biases():
    row = B1[None]
    modules, _ = names.numpy_modules([((0, 0), W1), ((0, 1), W2), ((1, 0), B1), ((1, 1), B2)])
    assert [module.arrays["bias"].size for module in modules] == [3, 2]
    modules, _ = names.numpy_modules([((0,), W1), ((1,), row), ((2,), W2), ((3,), B2[None])])
    assert modules[0].arrays["bias"] is row
    single = np.ones((3, 1)), np.ones((1, 1))
    modules, _ = names.numpy_modules([((0,), W1), ((1,), row), ((2,), single[0]), ((3,), single[1])])
    assert modules[1].arrays["weight"] is single[0]
    modules, _ = names.numpy_modules([((0,), W1), ((1,), W2)])
    assert [list(module.arrays) for module in modules] == [["weight"], ["weight"]]


def test_a_single_layer_needs_no_number():
    (module,), _ = names.numpy_modules([(("W",), W1), (("b",), B1)])
    assert module.arrays == {"weight": W1, "bias": B1}


def test_what_is_no_weight_is_left_out():
    others = [(("learning_rate",), np.asarray(0.1)), (("dW1",), W1), (("W1_velocity",), W1), (("x", 0), W1)]
    modules, ignored = names.numpy_modules([*others, (("W1",), W1), (("b1",), np.asarray(0.5))])
    assert ignored == ["dW1", "W1_velocity", "x.0"]
    assert modules[0].arrays == {"weight": W1, "bias": np.asarray(0.5)}


def test_batch_norms_are_numbered_by_themselves():
    arrays = [((name,), W1 if name[0] == "W" else B1) for name in
              ("W1", "W2", "gamma1", "beta1", "running_mean1", "running_var1")]  # fmt: skip
    modules, _ = names.numpy_modules(arrays)
    assert [(module.norm, len(module.arrays)) for module in modules] == [(False, 1), (True, 4), (False, 1)]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([], "no weights found: names must be W1, b1, W2, b2, ... or the like, got no arrays"),
        ([(("alpha",), W1), (("x", 1), W1)], "no weights found: names must be W1, .* got alpha, x.1"),
        ([(("W1",), W1), (("W3",), W1)], "numbered 1, 3: layer 2 is missing"),
        ([(("layer0.W",), W1), (("layer2.W",), W1), (("layer3.W",), W1)], "numbered 0, 2, 3: layer 1 is missing"),
        ([(("W2",), W1), (("W3",), W1)], "numbered from 2; the first layer must be 0 or 1"),
        ([(("W1",), W1), (("b1",), B1), (("b2",), B2)], "b2 has no weights beside it"),
        ([(("W1",), W1), (("w_1",), W1)], "W1 and w_1 mean the same layer"),
        ([((0,), W1), ((1,), B1), ((2,), B1)], "do not say which are weights and which biases"),
    ],
)
def test_what_says_too_little(arrays, message):
    with pytest.raises(CheckpointError, match=message):
        names.numpy_modules(arrays)


# PyTorch's names

NORM = {"weight": B1, "bias": B1, "running_mean": B1, "running_var": B1, "num_batches_tracked": np.asarray(3)}


def state(*modules):
    arrays = []
    for module in modules:
        arrays += [((f"{module}.{role}",), a) for role, a in (NORM if "bn" in module else {"weight": W1}).items()]
    return arrays


def test_modules_of_pytorch_in_natural_order():
    arrays = state("fc2", "fc10", "conv.1.bn", "conv.0", "conv.10")
    assert names.by_pytorch(arrays)
    modules = names.pytorch_modules(arrays)
    assert [module.name for module in modules] == ["conv.0", "conv.1.bn", "conv.10", "fc2", "fc10"]
    assert [module.norm for module in modules] == [False, True, False, False, False]
    assert list(modules[1].arrays) == list(names.ROLES)
    given = ["fc10", "fc2", "conv.10", "conv.1.bn", "conv.0"]
    assert [module.name for module in names.pytorch_modules(arrays, given)] == given
    message = "import_model: order must name each of conv.0, conv.1.bn, conv.10, fc2, fc10 once, got "
    for wrong in (["fc2"], [*given, "fc2"], [*given[:-1], "fc3"]):
        with pytest.raises(ValueError, match=message):
            names.pytorch_modules(arrays, wrong)


def test_the_two_ways_of_naming_are_told_apart():
    assert not names.by_pytorch(numbered("W1", "b1", "W2", "b2"))
    assert not names.by_pytorch(numbered((0, "weight"), (0, "bias"), (1, "weight"), (1, "bias")))
    assert names.by_pytorch([(("0.weight",), W1)])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([(("a.weight",), W1), (("a.weight_ih_l0",), W1)], "a.weight_ih_l0 is no weight, bias, running_mean or"),
        ([(("a.weight",), W1), (("b.bias",), B1)], "b has only bias"),
        ([(("a.running_mean",), B1), (("a.running_var",), B1)], "a has only running_mean and running_var"),
        ([(("a.weight",), B1), (("a.running_var",), B1)], "a has only weight and running_var"),
    ],
)  # fmt: skip
def test_other_modules_are_refused(arrays, message):
    with pytest.raises(CheckpointError, match=message):
        names.pytorch_modules(arrays)
