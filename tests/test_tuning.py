"""The search, on the embedded digits with tiny networks."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import fastnn
from fastnn import Settings, run, tuning
from fastnn.tuning import Space, Study, Trial, TrialCallback, tune

optuna = pytest.importorskip("optuna")

SMALL = tuning.prepared(
    Settings().override({
        "network.name": "mlp", "network.hidden": (16,), "training.epochs": 2, "training.batch_size": 100,
        "training.backend": "numpy", "optimizer.learning_rate": 0.01,
    })
)  # fmt: skip
AXES = {
    "optimizer.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    "training.batch_size": [50, 100],
    "network.hidden": [[8], [16]],
}
GRID = {"training.batch_size": [50, 100], "network.hidden": [[8], [16], [16, 8]]}


@pytest.fixture(scope="module")
def data():
    loaded = run.load(SMALL)
    return replace(loaded, training=(loaded.training[0][:500], loaded.training[1][:500]))


@pytest.fixture
def small(data):
    """Tunes SMALL on few images."""
    return lambda space=AXES, settings=SMALL, **more: tune(settings, space, data=data, **{"trials": 4, **more})


def points(study):
    return [dict(trial.point) for trial in study.trials if trial.counts]


def rows(folder):
    return list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))


class Interrupt(TrialCallback):
    """Ctrl-C in the first epoch of a trial."""

    def __init__(self, number):
        self.number = number

    def on_epoch_end(self, trial):
        if trial.number == self.number:
            raise KeyboardInterrupt


class Watch(TrialCallback):
    def __init__(self):
        self.seen = []

    def on_study_begin(self, study, trials):
        self.seen.append(("study", len(study.trials), trials))

    def on_trial_begin(self, trial):
        self.seen.append(("begin", trial.number, trial.state, trial.parameters > 0))

    def on_epoch_end(self, trial):
        self.seen.append(("epoch", trial.number, trial.epochs, 0 < trial.accuracy <= 1))

    def on_trial_end(self, study, trial):
        self.seen.append(("end", trial.number, trial.state, study.trials[trial.number] == trial))


def test_the_files_and_what_they_say(small, tmp_path):
    folder = tmp_path / "new" / "study"
    watch = Watch()
    study = small(out=folder, callbacks=[watch])
    names = {path.name for path in folder.iterdir()}
    assert names >= {"study.db", "trials.csv", "best.toml"}
    assert ("history.png" in names) == ("matplotlib" in sys.modules)
    assert study.folder == folder
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    best = study.best
    assert best == study.complete[0]
    assert best.accuracy == max(trial.accuracy for trial in study.complete)
    assert Settings.read(folder / "best.toml") == study.best_settings == study.settings_of(best)
    table = rows(folder)
    assert [float(row["val_accuracy"]) for row in table] == [trial.accuracy for trial in study.trials]
    assert table[0]["network.hidden"] == "[16]"
    assert [row["state"] for row in table] == ["complete"] * 4
    one = [("begin", 0, "running", True), ("epoch", 0, 1, True), ("epoch", 0, 2, True), ("end", 0, "complete", True)]
    assert watch.seen[:5] == [("study", 0, 4), *one]
    assert len(watch.seen) == 1 + 4 * 4


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_best_toml_repeats_the_trial_bit_for_bit(tmp_path, backend):
    settings = SMALL.override({"training.backend": backend, "network.dropout": 0.2, "data.validation_split": 0.3})
    study = tune(settings, AXES, trials=2, out=tmp_path)
    done = fastnn.train(Settings.read(tmp_path / "best.toml"), verbose=False)
    best = study.best
    assert done.best_epoch == best.epoch
    assert done.history.val_accuracy[best.epoch - 1] == best.accuracy
    assert done.history.val_loss[best.epoch - 1] == best.loss
    assert done.accuracy == best.test_accuracy
    assert done.model.parameters.size == best.parameters
    assert len(done.history.loss) == settings.training.epochs


def test_the_first_trial_is_the_settings_themselves(small):
    study = small(trials=1)
    assert study.best_settings == SMALL
    assert small({"training.batch_size": [20, 50]}, trials=1).best_settings != SMALL


@pytest.mark.parametrize("search", ["tpe", "random"])
def test_an_interrupted_study_goes_on_as_if_it_had_not_been(small, tmp_path, search):
    whole = small(search=search)
    with pytest.raises(KeyboardInterrupt):
        small(search=search, out=tmp_path, callbacks=[Interrupt(2)])
    assert [row["state"] for row in rows(tmp_path)] == ["complete", "complete", "interrupted"]
    assert (tmp_path / "best.toml").is_file()
    again = small(search=search, out=tmp_path)
    assert [trial.state for trial in again.trials] == ["complete", "complete", "interrupted", "complete", "complete"]
    assert points(again) == points(whole)
    assert [t.accuracy for t in again.trials if t.counts] == [t.accuracy for t in whole.trials]
    watch = Watch()
    assert small(search=search, out=tmp_path, callbacks=[watch]).trials == again.trials
    assert watch.seen == [("study", 5, 4)]
    more = small(search=search, out=tmp_path, trials=5)
    assert points(more)[:4] == points(whole)
    assert len(points(more)) == 5


def test_other_seeds_search_elsewhere(small):
    other = SMALL.override({"training.seed": 1})
    assert points(small(search="random"))[1:] != points(small(search="random", settings=other))[1:]


def test_tpe_learns_from_what_was_found(small):
    axes = {"optimizer.learning_rate": {"low": 1e-6, "high": 0.05, "log": True}}
    study = small(axes, trials=24, settings=SMALL.override({"training.epochs": 1}))
    rates = [trial.point["optimizer.learning_rate"] for trial in study.trials]
    assert np.median(rates[14:]) > 3 * np.median(rates[1:10])


def test_the_grid_is_covered(small, tmp_path):
    study = small(GRID, search="grid", trials=None, out=tmp_path)
    assert sorted(map(repr, points(study))) == sorted(map(repr, Space(GRID, SMALL).grid()))
    assert small(GRID, search="grid", trials=99, out=tmp_path).trials == study.trials


def test_an_interrupted_grid_has_no_hole(small, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        small(GRID, search="grid", trials=None, out=tmp_path, callbacks=[Interrupt(1)])
    study = small(GRID, search="grid", trials=3, out=tmp_path)
    assert len(points(study)) == 3
    study = small(GRID, search="grid", trials=None, out=tmp_path)
    assert sorted(map(repr, points(study))) == sorted(map(repr, Space(GRID, SMALL).grid()))


PROCESS = """
import sys
from fastnn import Settings, tuning
settings = Settings.read(sys.argv[1])
space = {"training.batch_size": [50, 100], "network.hidden": [[8], [16], [16, 8]], "network.dropout": [0.0, 0.1]}
study = tuning.tune(settings, space, search=sys.argv[3], storage=sys.argv[2], prune=False)
print(sum(trial.state == "complete" for trial in study.trials))
"""


@pytest.mark.parametrize(("search", "kind"), [("grid", "sqlite:///"), ("random", "sqlite:///"), ("grid", "journal:")])
def test_two_processes_share_a_study(tmp_path, search, kind):
    SMALL.write(tmp_path / "config.toml")
    url = f"{kind}{tmp_path / 'shared'}"
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "config.toml"), url, search]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    results = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], results
    wanted = 12 if search == "grid" else 20
    assert wanted in [int(out) for out, _ in results]
    space = {"training.batch_size": [50, 100], "network.hidden": [[8], [16], [16, 8]], "network.dropout": [0.0, 0.1]}
    study = tune(SMALL, space, search=search, storage=url)
    assert len(points(study)) == wanted
    alone = tune(SMALL, space, search=search, prune=False)
    assert sorted(map(repr, points(study))) == sorted(map(repr, points(alone)))
    assert sorted(trial.accuracy for trial in study.complete) == sorted(trial.accuracy for trial in alone.complete)


def test_tables_that_another_process_makes_at_the_same_moment(tmp_path, monkeypatch):
    from sqlalchemy import exc

    from fastnn.tuning import _storage

    make, failures = _storage.RDBStorage, [
        exc.ProgrammingError("CREATE TYPE", {}, Exception('type "studydirection" already exists')),  # PostgreSQL
        exc.IntegrityError("CREATE TABLE", {}, Exception("duplicate key value")),
        exc.OperationalError("CREATE TABLE", {}, Exception("table studies already exists")),  # SQLite
    ]  # fmt: skip

    def made(*arguments, **options):
        if failures:
            raise failures.pop()
        return make(*arguments, **options)

    monkeypatch.setattr(_storage, "RDBStorage", made)
    assert _storage.study(f"sqlite:///{tmp_path / 'study.db'}", "tune").study_name == "tune"
    failures.append(exc.OperationalError("CONNECT", {}, Exception("connection refused")))
    with pytest.raises(ConnectionError, match="connection refused"):
        _storage.study(f"sqlite:///{tmp_path / 'study.db'}", "tune")


KILLED = """
import os, signal, sys
from fastnn import Settings, tuning
class Kill(tuning.TrialCallback):
    def on_epoch_end(self, trial):
        if trial.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
tuning.tune(Settings.read(sys.argv[1]), {"network.hidden": [[8], [16], [4]]}, search="grid", out=sys.argv[2],
            callbacks=[Kill()])
"""


def test_the_trial_of_a_killed_process_is_made_up_for(tmp_path, monkeypatch):
    SMALL.write(tmp_path / "config.toml")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "config.toml"), str(tmp_path)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    axes = {"network.hidden": [[8], [16], [4]]}
    study = tune(SMALL, axes, search="grid", out=tmp_path)
    assert [trial.state for trial in study.trials] == ["complete", "running", "complete"]
    monkeypatch.setattr("fastnn.tuning._storage._SILENCE", 3)
    time.sleep(5)  # the database counts whole seconds
    study = tune(SMALL, axes, search="grid", out=tmp_path)
    assert [trial.state for trial in study.trials] == ["complete", "interrupted", "complete", "complete"]
    assert study.trials[3].point == study.trials[1].point


def test_pruning(small):
    axes = {"optimizer.learning_rate": [0.02, 0.021, 0.022, 0.023, 0.024, 1e-6, 1e-7]}
    settings = SMALL.override({"training.epochs": 4})
    study = small(axes, search="grid", trials=None, settings=settings.override({"training.seed": 3}), prune=False)
    assert {trial.epochs for trial in study.trials} == {4}
    assert {trial.state for trial in study.trials} == {"complete"}
    for seed in range(500):  # an order in which five good trials come first
        order = np.random.default_rng(seed).permutation(7)
        if set(order[:5]) == set(range(5)):
            break
    study = small(axes, search="grid", trials=None, settings=settings.override({"training.seed": seed}))
    assert [trial.state for trial in study.trials] == ["complete"] * 5 + ["pruned"] * 2
    pruned = study.trials[5]
    assert (pruned.epochs, pruned.reason) == (2, "in the lowest quarter after epoch 2 of 4")
    assert 0 < pruned.accuracy < study.best.accuracy
    assert study.best.point["optimizer.learning_rate"] > 0.01


def test_a_trial_that_diverges_counts_with_its_reason(small, tmp_path):
    axes = {"optimizer.learning_rate": [0.05, 1e30]}
    settings = SMALL.override({"optimizer.name": "sgd"})
    study = small(axes, search="grid", trials=None, settings=settings, out=tmp_path)
    bad = next(trial for trial in study.trials if trial.point["optimizer.learning_rate"] > 1)
    assert bad.state == "diverged"
    assert bad.reason.startswith("the loss is ")
    assert "epoch 1, batch " in bad.reason
    assert study.best.point["optimizer.learning_rate"] == 0.05
    assert rows(tmp_path)[bad.number]["reason"] == bad.reason
    assert small(axes, search="grid", trials=None, settings=settings, out=tmp_path).trials == study.trials


def test_a_trial_that_cannot_be_counts_with_its_reason(small):
    settings = SMALL.override({"network.name": "cnn", "network.channels": (2,), "network.dense": ()})
    study = small({"network.depth": [1, 4]}, search="grid", trials=None, settings=settings)
    bad = next(trial for trial in study.trials if trial.state != "complete")
    assert (bad.state, bad.accuracy) == ("failed", None)
    assert bad.reason == "cnn: channels must be at most 3 for 8x8 pixels, got 4"
    assert study.best.point == {"network.depth": 1}


def test_data_that_no_trial_could_use_are_refused_at_once(data, tmp_path):
    flat = replace(data, **{part: (getattr(data, part)[0].reshape(-1, 64), getattr(data, part)[1])
                            for part in ("training", "validation", "test")})  # fmt: skip
    with pytest.raises(fastnn.DataError, match="holds rows of 64 numbers, no images: train the network mlp"):
        tune(SMALL.override({"network.name": "cnn"}), {"network.dropout": [0.1]}, data=flat, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_no_trial_is_complete(small):
    settings = SMALL.override({"optimizer.name": "sgd"})
    study = small({"optimizer.learning_rate": [1e30]}, search="grid", trials=None, settings=settings)
    with pytest.raises(RuntimeError, match="^tune: no trial is complete; trial 0 diverged: the loss is "):
        study.best  # noqa: B018
    assert study.importance() == {}
    with pytest.raises(RuntimeError, match="^tune: no trial is complete$"):
        Study(Space(AXES, SMALL), ()).best  # noqa: B018


def test_ties_are_decided_by_the_loss():
    trials = [Trial(i, "complete", {}, accuracy, loss) for i, (accuracy, loss) in
              enumerate([(0.9, 0.5), (0.95, 0.4), (0.95, 0.3), (0.95, 0.3)])]  # fmt: skip
    study = Study(Space(AXES, SMALL), (*trials, Trial(4, "pruned", {}, 0.99)))
    assert [trial.number for trial in study.complete] == [2, 3, 1, 0]


def test_a_share_of_the_training_images_is_always_kept_for_validation():
    assert tuning.prepared(Settings()).data.validation_split == 0.1
    assert tuning.prepared(Settings().override({"data.validation_split": 0.2})).data.validation_split == 0.2
    study = tune(SMALL.override({"data.validation_split": 0.0, "training.epochs": 1}), AXES, trials=1)
    assert study.best_settings.data.validation_split == 0.1
    with pytest.raises(ValueError, match="^tune: data must have a validation part .validation_split, --val"):
        tune(SMALL, AXES, data=run.load(Settings()))


def test_the_test_images_decide_nothing(small, data):
    x, y = data.test
    study = small(trials=3)
    other = tune(SMALL, AXES, data=replace(data, test=(x, (y + 1) % 10)), trials=3)
    assert [trial.accuracy for trial in study.trials] == [trial.accuracy for trial in other.trials]
    assert study.best.number == other.best.number
    assert study.best.test_accuracy != other.best.test_accuracy


def test_the_timeout_begins_no_further_trial(small):
    class Slow(TrialCallback):
        def on_trial_begin(self, trial):
            time.sleep(0.3)

    assert len(small(timeout=0.2, trials=50, callbacks=[Slow()]).trials) == 1


def test_importance_finds_what_matters(small):
    axes = {"optimizer.learning_rate": {"low": 1e-6, "high": 0.05, "log": True}, "optimizer.eps": [1e-8, 1e-9]}
    study = small(axes, search="random", trials=30, settings=SMALL.override({"training.epochs": 1}))
    shares = study.importance()
    assert list(shares) == ["optimizer.learning_rate", "optimizer.eps"]
    assert shares["optimizer.learning_rate"] > 0.7
    assert sum(shares.values()) == pytest.approx(1)
    assert small(trials=3).importance() == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": SMALL.override({"training.epochs": 3})}, "training.epochs was 2, is 3"),
        ({"settings": SMALL.override({"optimizer.name": "sgd"})}, 'optimizer.name was "adam", is "sgd"'),
        ({"space": {**AXES, "training.batch_size": [50]}}, r"space training.batch_size was \[50, 100\], is \[50\]"),
        ({"space": {**AXES, "network.dropout": [0.1]}}, r"space network.dropout was absent, is \[0.1\]"),
        ({"search": "random"}, 'search was "tpe", is "random"'),
    ],
)
def test_a_study_of_another_question_is_refused(small, tmp_path, changes, message):
    small(out=tmp_path, trials=1)
    with pytest.raises(ValueError, match=rf"^tune: the study 'tune' in sqlite:.*study.db is another one: {message}; "):
        small(out=tmp_path, **changes)
    assert len(rows(tmp_path)) == 1


def test_a_study_of_other_data_is_refused(small, data, tmp_path):
    small(out=tmp_path, trials=1)
    (x, y), validation = data.training, data.validation
    for other, message in {
        "fewer": (replace(data, training=(x[:400], y[:400])), "training images was 500, is 400"),
        "others": (replace(data, validation=(validation[0], validation[1][::-1])), "checksum of the labels was"),
    }.values():
        with pytest.raises(ValueError, match=message):
            tune(SMALL, AXES, data=other, out=tmp_path)


def test_threads_and_the_place_of_the_data_may_differ(small, tmp_path):
    small(out=tmp_path, trials=1)
    moved = SMALL.override({"training.threads": 1, "data.data_dir": "elsewhere"})
    assert len(small(out=tmp_path, trials=2, settings=moved).trials) == 2


def test_several_studies_in_one_storage(small, tmp_path):
    url = f"sqlite:///{tmp_path / 'all.db'}"
    small(storage=url, trials=1)
    study = small(GRID, storage=url, trials=1, search="grid", name="grid", out=tmp_path / "files")
    assert len(study.trials) == 1
    assert sorted(path.name for path in (tmp_path / "files").iterdir() if path.suffix != ".png") == [
        "best.toml", "trials.csv",
    ]  # fmt: skip


def test_a_study_of_another_program_is_refused(small, tmp_path):
    url = f"sqlite:///{tmp_path / 'other.db'}"
    foreign = optuna.create_study(storage=url, study_name="tune")
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(ValueError, match="^tune: the study 'tune' in sqlite:///.* is not one of fastnn$"):
        small(storage=url)


def test_storages_that_cannot_be_reached(small, tmp_path):
    (tmp_path / "text.db").write_text("no database at all, and long enough to be looked at\n" * 9)
    for url, error, message in [
        (f"sqlite:///{tmp_path}/none/study.db", ConnectionError, "cannot be used: unable to open database file"),
        (f"sqlite:///{tmp_path}/text.db", ConnectionError, "cannot be used: file is not a database"),
        (f"journal:{tmp_path}/none/study.log", ConnectionError, "cannot be used: No such file or directory"),
        ("nonsense", ValueError, "storage must be a URL such as sqlite:///study.db, .*, got 'nonsense'"),
        ("nosuch://host/name", ValueError, "storage must be a URL such as .*, got 'nosuch://host/name'"),
        (
            "mysql://me:secret@localhost:1/x", ImportError,
            r"the driver of mysql://me:\*\*\*@localhost:1/x is not installed \(pip install mysqlclient\)$",
        ),
    ]:  # fmt: skip
        with pytest.raises(error, match=f"^tune: .*{message}") as caught:
            small(storage=url, out=tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"settings": 1}, TypeError, "tune: settings must be Settings, got int"),
        ({"search": "luck"}, ValueError, "tune: search must be one of 'tpe', 'random', 'grid', got 'luck'"),
        ({"trials": 0}, ValueError, "tune: trials must be >= 1, got 0"),
        ({"timeout": 0}, ValueError, "tune: timeout must be > 0, got 0"),
        ({"prune": 1}, TypeError, "tune: prune must be True or False, got int"),
        ({"name": 1}, TypeError, "tune: name must be a text, got int"),
        ({"space": 1}, TypeError, "Space: axes must be a mapping, got int"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error) as caught:
        tune(**{"settings": SMALL, **arguments})
    assert str(caught.value) == message


def test_optuna_is_asked_for_when_it_is_needed_and_no_earlier():
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from fastnn import Settings, tuning\n"
        "space = tuning.default_space(Settings.for_network('mlp'))\n"
        "try:\n    tuning.tune(Settings(), space)\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Optuna is not installed (pip install 'fastnn[tune]')\n"


def test_optunas_log_is_as_it_was_before(small):
    level = optuna.logging.get_verbosity()
    small(trials=1)
    assert optuna.logging.get_verbosity() == level
