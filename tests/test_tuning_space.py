"""What is searched: the values of each axis, which names count when, files, and what is refused in which words."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import Settings, SettingsError, networks, recipes, run
from fastnn.tuning import Choice, Range, Space, default_space
from fastnn.tuning.space import sizes

MLP = Settings.for_network("mlp")
_PART = (np.zeros((2, 28, 28, 1), np.float32), np.arange(2))
DATA = run.Data(_PART, _PART, _PART, ("no", "yes"))
LOG = {"low": 0.001, "high": 0.1, "log": True}


def test_the_sizes_of_a_network():
    assert sizes("mlp", 256, 3) == (256, 128, 64)
    assert sizes("mlp", 16, 3) == (16, 8, 8)
    assert sizes("mlp", 4, 2) == (4, 4)
    assert sizes("cnn", 16, 3) == (16, 32, 64)


@pytest.mark.parametrize(
    ("axis", "points"),
    [
        (Range(1, 3), (1, 2, 3)),
        (Range(1, 10), (1, 4, 7, 10)),
        (Range(0.0, 0.5, step=0.1), (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        (Range(16, 64, step=16), (16, 32, 48, 64)),
        (Range(0.001, 1.0, log=True), (0.001, 0.01, 0.1, 1.0)),
        (Range(8, 64, log=True), (8, 16, 32, 64)),
        (Range(0.1, 0.1), (0.1,)),
        (Choice((32, 64)), (32, 64)),
    ],
)
def test_the_points_of_a_grid(axis, points):
    assert axis.grid() == points
    assert [type(point) for point in axis.grid()] == [type(point) for point in points]


def test_ranges_know_their_values():
    tenths = Range(0.0, 0.5, step=0.1)
    assert 0.3 in tenths
    assert 0.35 not in tenths
    assert 0.6 not in tenths
    assert tenths.rounded(0.1 + 0.2) == 0.3
    assert Range(0.0, 1.0).rounded(0.123456) == 0.1235
    assert Range(0.12345, 1.0).rounded(0.12346) == 0.1235
    assert Range(0.1, 0.99999).rounded(0.99998) == 0.99999
    assert True not in Range(0, 1)


def test_a_step_that_does_not_reach_the_end():
    axis = Space({"network.dropout": {"low": 0, "high": 0.5, "step": 0.2}}, MLP).axes["network.dropout"]
    assert axis == Range(0.0, 0.4, step=0.2)
    axis = Space({"training.batch_size": {"low": 32, "high": 100, "step": 32}}, MLP).axes["training.batch_size"]
    assert axis == Range(32, 96, step=32)
    assert axis.whole


def test_integers_become_the_floats_that_a_setting_has():
    axis = Space({"network.dropout": {"low": 0, "high": 1e-1}}, MLP).axes["network.dropout"]
    assert (axis.low, axis.whole) == (0.0, False)


def test_names_that_count_for_one_word_only():
    space = Space(
        {
            "optimizer.sgd.momentum": [0.8, 0.9], "optimizer.adam.learning_rate": LOG,
            "optimizer.name": ["sgd", "adam"], "schedule.one-cycle.warmup": [0.1, 0.3],
        },
        MLP,
    )  # fmt: skip
    assert next(iter(space.axes)) == "optimizer.name"
    points = space.grid()
    assert len(points) == (2 + 4) * 2
    for point in points:
        assert ("optimizer.sgd.momentum" in point) == (point["optimizer.name"] == "sgd")
        settings = space.apply(point)
        assert settings.optimizer.name == point["optimizer.name"]
        assert settings.schedule.keywords["warmup"] == point["schedule.one-cycle.warmup"]
    assert len({repr(space.apply(point)) for point in points}) == len(points)


def test_width_and_depth():
    space = Space({"network.width": [64, 128], "network.depth": {"low": 1, "high": 3}}, MLP)
    assert space.apply({"network.width": 64, "network.depth": 3}).network.keywords["hidden"] == (64, 32, 16)
    deep = Space({"network.depth": [1, 3]}, MLP)  # the width is the settings' own
    assert deep.apply({"network.depth": 3}).network.keywords["hidden"] == (256, 128, 64)
    wide = Space({"network.width": [8]}, Settings.for_network("resnet"))
    assert wide.apply({"network.width": 8}).network.keywords["channels"] == (8, 16, 32)
    both = Space({"network.name": ["mlp", "cnn"], "network.width": [8, 16], "network.cnn.convs": [1, 2]}, MLP)
    assert [p.network.keywords.get("channels", p.network.keywords.get("hidden")) for p in map(both.apply, both.grid())]
    assert len(both.grid()) == 2 + 4


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_the_default_space(name):
    settings = Settings.for_network(name)
    space = default_space(settings)
    columns = {space.column(each) for each in space.axes}
    sizes = set() if name == "lenet5" else {"network.width", "network.depth"}
    assert columns == sizes | {
        "optimizer.name", "optimizer.learning_rate", "schedule.name", "training.batch_size", "network.dropout",
    }  # fmt: skip
    assert space.apply(space.start()) == settings
    for point in space.grid()[::97]:
        space.apply(point).network.layers((28, 28, 1), 10)
    assert all(axis.log for each, axis in space.axes.items() if each.endswith("learning_rate"))


@pytest.mark.parametrize("name", recipes.names())
def test_the_default_space_of_a_recipe(name):
    settings = recipes.load(name)
    for point in default_space(settings).grid()[::331]:
        run.build(default_space(settings).apply(point), DATA)


def test_what_is_fixed_is_not_searched():
    space = default_space(MLP, {"optimizer.name", "network.hidden", "training.seed"})
    assert set(space.axes) == {
        "optimizer.adam.learning_rate", "schedule.name", "training.batch_size", "network.dropout",
    }  # fmt: skip
    space = default_space(MLP, {"optimizer.learning_rate"})
    assert not [name for name in space.axes if "learning_rate" in name]
    every = {"optimizer.name", "optimizer.learning_rate", "schedule.name", "training.batch_size", "network.dropout"}
    with pytest.raises(ValueError, match="^default_space: fixed leaves nothing to search$"):
        default_space(Settings.for_network("lenet5"), every)


def test_the_start_is_the_settings_where_the_space_has_them():
    assert Space({"training.batch_size": [32, 128]}, MLP).start() == {"training.batch_size": 128}
    assert Space({"training.batch_size": [32, 64]}, MLP).start() is None
    odd = MLP.override({"network.hidden": (256, 100)})
    assert Space({"network.width": [256], "network.depth": [2]}, odd).start() is None
    assert Space({"network.hidden": [[256, 100], [8]]}, odd).start() == {"network.hidden": (256, 100)}
    cycle = Space({"schedule.name": ["constant", "one-cycle"], "schedule.constant.warmup_steps": [0, 9]}, MLP)
    assert cycle.start() == {"schedule.name": "one-cycle"}


def test_the_file_comes_back(tmp_path):
    axes = {
        "network.hidden": [[64], [64, 32], []], "network.batch_norm": [False, True],
        "network.init": [0.01, "he_normal"], "optimizer.name": ["sgd", "adam"], "optimizer.sgd.learning_rate": LOG,
        "training.batch_size": [16, 32],
        "network.dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
    }  # fmt: skip
    space = Space(axes, MLP)
    path = tmp_path / "space.toml"
    path.write_text(space.text())
    again = Space.read(path, MLP)
    assert again.to_dict() == space.to_dict()
    path.write_text('"optimizer.name" = ["sgd"]\n[optimizer.sgd]\nmomentum = [0.9]\n')
    assert set(Space.read(path, MLP).axes) == {"optimizer.name", "optimizer.sgd.momentum"}


@pytest.mark.parametrize(
    ("axes", "error", "message"),
    [
        ({}, ValueError, "axes must not be empty"),
        ({"training.batch": [1]}, ValueError,
         "training.batch is no setting: did you mean training.batch_size?"),
        ({"optimiser.name": ["sgd"]}, ValueError, "optimiser is no setting: did you mean optimizer?"),
        ({"optimizer": ["sgd"]}, ValueError, "optimizer must name a key, such as training.epochs"),
        ({"optimizer.momentum": [0.9]}, ValueError, "optimizer.momentum is no setting of adam: there is "),
        ({"optimizer.name": ["sgd", "adam"], "optimizer.momentum": [0.9]}, ValueError,
         "optimizer.momentum is no setting of adam: there is "),
        ({"optimizer.name": ["sgd", "lion"]}, ValueError, "optimizer.name must be one of 'sgd', "),
        ({"optimizer.sgd.momentum": [0.9]}, ValueError, "optimizer.sgd.momentum never counts: optimizer.name is adam"),
        ({"training.sgd.epochs": [2]}, ValueError, "training.sgd.epochs never counts: training has no name"),
        ({"optimizer.learning_rate": LOG, "optimizer.adam.learning_rate": LOG}, ValueError,
         "optimizer.adam.learning_rate and optimizer.learning_rate exclude each other"),
        ({"network.width": [8], "network.hidden": [[8]]}, ValueError,
         "network.width and network.hidden exclude each other"),
        ({"training.batch_size": ["big"]}, TypeError, "training.batch_size must be an integer, got 'big'"),
        ({"training.batch_size": [0]}, ValueError, "training.batch_size must be >= 1, got 0"),
        ({"training.batch_size": {"low": 1.5, "high": 3}}, TypeError,
         "training.batch_size must be an integer, got float"),
        ({"training.batch_size": {"low": 8, "high": 16, "step": 0.5}}, TypeError,
         "training.batch_size: step must be an integer, got 0.5"),
        ({"network.hidden": {"low": 8, "high": 16}}, TypeError, "network.hidden must be a list of integers, got int"),
        ({"network.width": [0.5]}, TypeError, "network.width must be an integer, got float"),
        ({"network.depth": {"low": 0, "high": 2}}, ValueError, "network.depth must be >= 1, got 0"),
        ({"optimizer.learning_rate": {"low": 1, "high": 0.1}}, ValueError,
         "optimizer.learning_rate: low must be <= high, got 1 > 0.1"),
        ({"optimizer.learning_rate": {"low": 0, "high": 0.1, "log": True}}, ValueError,
         "optimizer.learning_rate: low must be > 0 where log is true, got 0"),
        ({"optimizer.learning_rate": {"low": 0.1, "high": 0.2, "log": True, "step": 0.1}}, ValueError,
         "optimizer.learning_rate: log and step exclude each other"),
        ({"optimizer.learning_rate": {"low": 0.1, "high": 0.2, "step": 0}}, ValueError,
         "optimizer.learning_rate: step must be > 0, got 0"),
        ({"optimizer.learning_rate": {"low": 0.1, "height": 0.2}}, ValueError,
         "optimizer.learning_rate has 'height': a range has low, high, log and step"),
        ({"optimizer.learning_rate": {"low": 0.1}}, ValueError, "optimizer.learning_rate: high is missing"),
        ({"optimizer.learning_rate": {"low": "a", "high": 1}}, TypeError,
         "optimizer.learning_rate: low must be a number, got 'a'"),
        ({"optimizer.learning_rate": {"low": 0.1, "high": float("nan")}}, ValueError,
         "optimizer.learning_rate: high must be finite, got nan"),
        ({"optimizer.learning_rate": {"low": 0.1, "high": 0.2, "log": 1}}, TypeError,
         "optimizer.learning_rate: log must be True or False, got int"),
        ({"optimizer.learning_rate": 0.1}, TypeError,
         "optimizer.learning_rate must be a list of choices or {low, high, log, step}, got 0.1"),
        ({"training.batch_size": []}, ValueError, "training.batch_size must have a choice, got an empty list"),
        ({"training.batch_size": [8, 16, 8]}, ValueError, "training.batch_size has 8 twice"),
        ({"training.batch_size": [None]}, TypeError, "training.batch_size must be a list of settings, got NoneType"),
        ({"data.dataset": ["digits", "mnist"]}, ValueError,
         "data.dataset is the same in all trials and cannot be searched"),
        ({"training.seed": [1, 2]}, ValueError, "training.seed is the same in all trials and cannot be searched"),
        ([1], TypeError, "axes must be a mapping, got list"),
    ],
)  # fmt: skip
def test_what_is_refused(axes, error, message):
    with pytest.raises(error) as caught:
        Space(axes, MLP)
    assert str(caught.value).startswith(f"Space: {message}")
    assert "\n" not in str(caught.value)


def test_width_where_the_sizes_are_fixed():
    with pytest.raises(ValueError, match="^Space: network.width is no setting of lenet5$"):
        Space({"network.width": [8]}, Settings.for_network("lenet5"))


def test_files_that_are_refused(tmp_path):
    path = tmp_path / "space.toml"
    for text, message in {
        "training.batch_size = [1": "no TOML file",
        "[training]\nbatch_size = 64": "training.batch_size must be a list of choices or",
        "[training]\nbatch = [64]": "training.batch is no setting: did you mean training.batch_size?",
        "": "axes must not be empty",
    }.items():
        path.write_text(text)
        with pytest.raises(SettingsError) as caught:
            Space.read(path, MLP)
        assert str(caught.value).startswith(f"{path}: {message}")
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        Space.read(tmp_path / "none.toml", MLP)


def test_a_grid_that_has_no_end():
    axes = {name: {"low": 0.0, "high": 0.9, "step": 0.001} for name in ("network.dropout", "loss.label_smoothing")}
    with pytest.raises(ValueError, match=r"^Space: a grid must have at most 100,000 points, got up to 811,801$"):
        Space(axes, MLP).grid()
