"""Settings: every value is checked and named, and a file gives back what was written."""

from __future__ import annotations

import dataclasses

import pytest

from fastnn import Settings, SettingsError, optimizers, schedules
from fastnn._notes import NOTES
from fastnn.cli._settings import FLAGS
from fastnn.settings import (
    OPTIMIZERS,
    SCHEDULES,
    TABLES,
    ClippingSettings,
    NetworkSettings,
    OptimizerSettings,
    ScheduleSettings,
    choices,
)


def test_what_is_not_said_has_a_default():
    settings = Settings.from_dict({"network": {"name": "mlp", "hidden": [5]}, "optimizer": {"name": "sgd"}})
    assert settings.network.keywords == {
        "hidden": (5,), "activation": "relu", "dropout": 0.0, "batch_norm": False, "init": "he_normal",
    }  # fmt: skip
    assert settings.optimizer.keywords["learning_rate"] == 0.05
    assert settings.schedule.name == "one-cycle"
    assert Settings() == Settings.from_dict({}) == Settings.from_dict(Settings().to_dict())


def test_a_network_brings_its_epochs_and_batch_size():
    for name in choices("network"):
        settings = Settings.for_network(name)
        assert settings.network == NetworkSettings(name)
    assert Settings.for_network("mlp").training.epochs == 20
    assert Settings.for_network("mlp").training.batch_size == 128
    assert Settings.for_network("cnn") == Settings()


def test_numbers_and_lists_come_in_their_type():
    settings = Settings().override({"optimizer.learning_rate": 1, "network.channels": [4], "network.dropout": 0})
    assert type(settings.optimizer.keywords["learning_rate"]) is float
    assert settings.network.keywords["channels"] == (4,)
    assert type(settings.network.keywords["dropout"]) is float


def test_settings_never_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().training.epochs = 3
    assert Settings().override({"training.epochs": 3}).training.epochs == 3
    assert Settings().training.epochs == 10


def test_another_name_begins_with_its_own_defaults():
    first = Settings().override({"network.dropout": 0.5, "optimizer.eps": 1e-6, "schedule.warmup_steps": 7})
    same = first.override({"network.name": "cnn", "optimizer.learning_rate": 0.1})
    assert same.network == first.network
    assert same.optimizer.keywords["eps"] == 1e-6
    other = first.override({"optimizer.momentum": 0.5, "optimizer.name": "sgd", "network.name": "mlp"})
    assert other.network == NetworkSettings("mlp")
    assert other.optimizer == OptimizerSettings("sgd", {"momentum": 0.5})
    assert other.schedule == first.schedule


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_can_be_made(name):
    needed = {"decay": 0.5} if name == "inverse-time" else {}
    made = ScheduleSettings(name, needed).make(0.25)
    assert type(made) is SCHEDULES[name]
    assert made.learning_rate == 0.25
    warm = ScheduleSettings(name, {**needed, "warmup_steps": 3}).make(0.25)
    assert isinstance(warm, schedules.WarmUp)
    assert (warm.steps, type(warm.then)) == (3, SCHEDULES[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_can_be_made(name):
    clipping = ClippingSettings(value=1, global_norm=2)
    made = OptimizerSettings(name).make(ScheduleSettings(), clipping)
    assert type(made) is OPTIMIZERS[name][0]
    assert isinstance(made.learning_rate, schedules.OneCycle)
    assert (made.clip_value, made.clip_norm, made.clip_global_norm) == (1, None, 2)


def test_an_optimizer_gets_its_keywords():
    made = OptimizerSettings("sgd", {"momentum": 0.5, "nesterov": True, "weight_decay": 1}).make(
        ScheduleSettings("constant"), ClippingSettings()
    )
    assert isinstance(made, optimizers.SGD)
    assert (made.momentum, made.nesterov, made.weight_decay) == (0.5, True, 1)


def every_key():
    """All settings there are, by dotted name."""
    keys = set()
    for title, kind in TABLES.items():
        names = choices(title)
        keys |= {f"{title}.{key}" for name in names for key in ("name", *kind.usual(name))}
        keys |= {f"{title}.{field.name}" for field in dataclasses.fields(kind) if not names}
    return keys


def test_every_setting_has_a_note_and_a_flag():
    assert every_key() == set(NOTES) == set(FLAGS)
    flags = [flag for flag, _ in FLAGS.values()]
    assert len(set(flags)) == len(flags)


# Files

CASES = [
    {},
    {"network.name": "mlp", "network.hidden": (), "network.init": 0.01, "loss.class_weights": (1, 2.5)},
    {"optimizer.name": "sgd", "schedule.name": "inverse-time", "schedule.decay": 1e-3, "clipping.norm": 1 / 3},
    {"network.name": "resnet", "loss.class_weights": "balanced", "data.data_dir": 'a "folder"\\ of \u00fc',
     "training.backend": "numpy", "training.dtype": "float64", "optimizer.learning_rate": 1e-9},
]  # fmt: skip


@pytest.mark.parametrize("changes", CASES)
def test_a_file_gives_back_what_was_written(tmp_path, changes):
    settings = Settings().override(changes)
    path = tmp_path / "settings.toml"
    settings.write(path)
    assert Settings.read(path) == settings
    assert [file.name for file in tmp_path.iterdir()] == ["settings.toml"]


def test_a_file_has_every_value_with_its_meaning():
    text = Settings.for_network("mlp").text()
    assert text.startswith("# All settings of a training run")
    for line in (
        "[network]",
        'name = "mlp"         # The network: mlp, cnn, lenet5, vgg, resnet.',
        "hidden = [256, 128]  # mlp: units of each hidden layer.",
        "epochs = 20         # Passes over the training images.",
    ):
        assert line in text.splitlines()
    values = [line for line in text.splitlines() if " = " in line]
    assert len(values) == sum(map(len, Settings.for_network("mlp").to_dict().values()))
    assert all("  # " in line for line in values)
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[training]\nepochs = 0", "training.epochs must be >= 1, got 0"),
        ("[training]\nepochs = 1.5", "training.epochs must be an integer, got float"),
        ("[training]\nepochs = 2020-01-01", "training.epochs must be an integer, got date"),
        ("[training]\nepoch = 1", "training.epoch is no setting: did you mean training.epochs?"),
        ("[training]\nxyz = 1", "training.xyz is no setting: there is epochs, batch_size, "),
        ('[training]\nbackend = "cuda"', "training.backend must be one of 'numba', 'numpy', got 'cuda'"),
        ('[training]\ndtype = "int8"', "training.dtype must be one of 'float32', 'float64', got 'int8'"),
        ("[data]\ndataset = 3", "data.dataset must be a text, got int"),
        ("[data]\nvalidation_split = 1", "data.validation_split must be >= 0 and < 1, got 1"),
        ('[network]\nname = "mpl"', "network.name must be one of 'mlp', "),
        ('[network]\nname = "mlp"\nhiden = 3', "network.hiden is no setting of mlp: did you mean network.hidden?"),
        ('[network]\nname = "lenet5"\nhidden = 3', "network.hidden is no setting of lenet5: there is activation, "),
        ("[network]\nchannels = [0]", "network.channels must be >= 1, got 0"),
        ('[optimizer]\nname = "sgd"\nmomentum = 1', "optimizer.momentum must be >= 0 and < 1, got 1"),
        ('[optimizer]\nname = "sgd"\nmomentum = 0\nnesterov = true', "optimizer.momentum must be > 0 for nesterov"),
        ("[optimizer]\nlearning_rate = nan", "optimizer.learning_rate must be > 0, got nan"),
        ("[optimizer]\nlearning_rate = true", "optimizer.learning_rate must be a number, got True"),
        ("[optimizer]\nbetas = [0.9]", "optimizer.betas must be a pair of numbers"),
        ('[schedule]\nname = "inverse-time"', "schedule.decay is missing: inverse-time needs it"),
        ("[schedule]\nwarmup_steps = -1", "schedule.warmup_steps must be >= 0, got -1"),
        ("[schedule]\nwarmup = 1", "schedule.warmup must be >= 0 and < 1, got 1"),
        ("[clipping]\nvalue = -1", "clipping.value must be >= 0, got -1"),
        ("[loss]\nlabel_smoothing = 2", "loss.label_smoothing must be >= 0 and <= 1, got 2"),
        ('[loss]\nclass_weights = "even"', "loss.class_weights must be \"balanced\" or a list of numbers, got 'even'"),
        ("[loss]\nclass_weights = [1, -1]", "loss.class_weights must be >= 0, got -1"),
        ("[los]", "los is no setting: did you mean loss?"),
        ("epochs = 3", "epochs is no setting: there is data, network, "),
        ("training = 3", "training must be a table, got int"),
        ("[training", "no TOML file: "),
        ("[training]\nepochs = 1\nepochs = 2", "no TOML file: "),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named_with_the_key(tmp_path, content, message):
    path = tmp_path / "settings.toml"
    path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        Settings.read(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read: No such file or directory$"):
        Settings.read(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"binary\.toml: no TOML file: it is no text$"):
        Settings.read(tmp_path / "binary.toml")


def test_wrong_values_in_python():
    with pytest.raises(TypeError, match="^Settings: training must be of type TrainingSettings, got dict$"):
        Settings(training={"epochs": 3})
    with pytest.raises(TypeError, match="^Settings: network.keywords must be a mapping, got 'hidden'$"):
        NetworkSettings("mlp", "hidden")
    with pytest.raises(ValueError, match="^Settings: training.epoch is no setting: did you mean training.epochs\\?$"):
        Settings().override({"training.epoch": 1})
    with pytest.raises(ValueError, match="^Settings: trainin is no setting: did you mean training\\?$"):
        Settings().override({"trainin.epochs": 1})
    with pytest.raises(ValueError, match="^Settings: training must name a key, such as training.epochs$"):
        Settings().override({"training": 1})
