"""Settings: every value is checked and named, and a file gives back what was written."""

from __future__ import annotations

import dataclasses

import pytest

from fastnn import Augmentation, Settings, SettingsError, callbacks, optimizers, schedules
from fastnn._notes import NOTES
from fastnn.cli._settings import FLAGS
from fastnn.settings import (
    OPTIMIZERS,
    SCHEDULES,
    TABLES,
    AugmentationSettings,
    ClippingSettings,
    NetworkSettings,
    OptimizerSettings,
    ScheduleSettings,
    StoppingSettings,
    choices,
)


def test_what_is_not_said_has_a_default():
    settings = Settings.from_dict({"network": {"name": "mlp", "hidden": [5]}, "optimizer": {"name": "sgd"}})
    assert settings.network.keywords == {
        "hidden": (5,), "activation": "relu", "dropout": 0.0, "batch_norm": False, "clip_pre_activations": 0.0,
        "init": "he_normal",
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


@pytest.mark.parametrize("name", SCHEDULES.keys() - {"plateau"})
def test_every_schedule_can_be_made(name):
    needed = {"decay": 0.5} if name == "inverse-time" else {}
    made = ScheduleSettings(name, needed).make(0.25)
    assert type(made) is SCHEDULES[name]
    assert made.learning_rate == 0.25
    warm = ScheduleSettings(name, {**needed, "warmup_steps": 3}).make(0.25)
    assert isinstance(warm, schedules.WarmUp)
    assert (warm.steps, type(warm.then)) == (3, SCHEDULES[name])
    assert ScheduleSettings(name, needed).callbacks() == []


def test_plateau_is_a_rate_that_a_callback_reduces():
    settings = ScheduleSettings("plateau", {"patience": 4, "monitor": "accuracy", "min_lr": 1e-5})
    assert settings.make(0.25) == 0.25
    (made,) = settings.callbacks()
    assert isinstance(made, callbacks.ReduceLROnPlateau)
    assert (made.factor, made.patience, made.cooldown, made.min_lr) == (0.5, 4, 0, 1e-5)


def test_stopping_is_a_callback_or_nothing():
    assert StoppingSettings(monitor="loss").callbacks() == []
    (made,) = StoppingSettings(patience=3, min_delta=1e-3).callbacks()
    assert isinstance(made, callbacks.EarlyStopping)
    assert (made.patience, made.restore_best_weights) == (3, False)


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


def test_the_augmentation_is_off_or_has_its_keywords_and_the_seed():
    assert AugmentationSettings().make(3) is None
    assert AugmentationSettings(border="edge", fill=0.5).make(3) is None
    for key, value in {"shift": 1, "elastic": (34, 4), "flip": "both", "cutout": 3, "mixup": 0.2}.items():
        made = AugmentationSettings(**{key: value}).make(3)
        assert made == Augmentation(**{key: value})
        assert made.seed == 3


def test_the_augmentation_has_every_keyword():
    others = {"seed", "backend"}
    assert {key.name for key in dataclasses.fields(Augmentation)} - others == set(AugmentationSettings().items())
    assert Augmentation(**AugmentationSettings().items()) == Augmentation()


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
    {"schedule.name": "plateau", "schedule.min_lr": 1e-5, "stopping.patience": 3, "stopping.monitor": "val_accuracy",
     "training.accumulate": 4, "network.clip_pre_activations": 20},
    {"augmentation.shift": 2, "augmentation.elastic": (34, 4), "augmentation.flip": True},
    {"augmentation.border": "reflect", "augmentation.fill": (0, 0.5)},
    {"augmentation.shift": (1, 2.5), "augmentation.flip": "both", "augmentation.crop": 2, "augmentation.mixup": 1},
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
        'name = "mlp"                # The network: mlp, cnn, lenet5, vgg, resnet.',
        "hidden = [256, 128]         # mlp: units of each hidden layer.",
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
        ("[augmentation]\nshift = [1]", "augmentation.shift must be 0 or a pair of numbers, got [1]"),
        ("[augmentation]\nrotate = 181", "augmentation.rotate must be >= 0 and <= 180, got 181"),
        ("[augmentation]\ncrop = 1.5", "augmentation.crop must be an integer, got float"),
        ('[augmentation]\nflip = "left"', "augmentation.flip must be one of 'horizontal', 'vertical', 'both', "),
        ("[augmentation]\nflips = true", "augmentation.flips is no setting: did you mean augmentation.flip?"),
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
        ('[schedule]\nname = "plateau"\nfactor = 1', "schedule.factor must be > 0 and < 1, got 1"),
        ('[schedule]\nname = "plateau"\nmonitor = "auc"', "schedule.monitor must be one of 'loss', 'accuracy', "),
        ('[schedule]\nname = "plateau"\nwarmup_steps = 3', "schedule.warmup_steps is no setting of plateau: "),
        ("[network]\nclip_pre_activations = -1", "network.clip_pre_activations must be >= 0, got -1"),
        ("[training]\naccumulate = 0", "training.accumulate must be >= 1, got 0"),
        ("[stopping]\npatience = -1", "stopping.patience must be >= 0, got -1"),
        ('[stopping]\nmonitor = "auc"', "stopping.monitor must be one of 'loss', 'accuracy', 'val_loss', "),
        ("[clipping]\nvalue = -1", "clipping.value must be >= 0, got -1"),
        ("[loss]\nlabel_smoothing = 2", "loss.label_smoothing must be >= 0 and <= 1, got 2"),
        ('[loss]\nclass_weights = "even"', "loss.class_weights must be \"balanced\" or a list of numbers, got 'even'"),
        ("[loss]\nclass_weights = [1, -1]", "loss.class_weights must be >= 0, got -1"),
        ("[los]", "los is no setting: did you mean loss?"),
        ("epochs = 3", "epochs is no setting: there is data, augmentation, "),
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
