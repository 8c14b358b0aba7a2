"""`fastnn tune`, on the embedded digits and the numpy backend."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from fastnn.cli import main

optuna = pytest.importorskip("optuna")

TUNE = ["tune", "--model", "mlp", "--hidden", "8", "--epochs", "1", "--backend", "numpy", "--trials", "2"]


@pytest.fixture
def fastnn(tmp_path, monkeypatch):
    """Runs fastnn in an empty folder; the result has exit_code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_STORAGE", raising=False)
    return lambda *arguments: CliRunner().invoke(main, [str(a) for a in arguments], prog_name="fastnn")


def test_a_users_own_data_are_validated_by_their_split(fastnn, tmp_path):
    table = "".join(f"{number % 2},{number},{number % 7}\n" for number in range(60))
    (tmp_path / "my.csv").write_text("label,a,b\n" + table)
    result = fastnn(*TUNE, "--dataset", "my.csv")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("mlp on my.csv: 48 training and 6 validation samples, ")
    again = fastnn("train", "--config", "runs/tune-my-mlp/best.toml")
    assert again.exit_code == 0, again.output


def test_a_search_and_its_best_trained_again(fastnn, tmp_path):
    result = fastnn(*TUNE)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "mlp on digits: 1,350 training and 150 validation images, 1 epoch a trial; tpe over optimizer, schedule, "
        "learning rate, batch size, dropout"
    )
    assert re.match(r"1/2  trial 0  \d+\.\d\d% in epoch 1  \d+\.\d s  optimizer adam, schedule one-cycle, "
                    r"learning rate 0.004, batch size 128, dropout 0  complete$", lines[1])  # fmt: skip
    assert re.match(r"2/2  trial 1  .*  complete$", lines[2])
    assert "the best trials" in result.stdout
    line = r"best of 2 trials: (\d), validation accuracy (\S+) in epoch 1, test accuracy (\S+)\n"
    best = re.search(line, result.stdout)
    folder = tmp_path / "runs" / "tune-digits-mlp"
    out = "runs/tune-digits-mlp"
    assert lines[-1] == f"written to {out}; fastnn train --config {out}/best.toml trains it again"
    assert {path.name for path in folder.iterdir()} >= {"study.db", "trials.csv", "best.toml"}
    trained = fastnn("train", "--config", folder / "best.toml")
    assert trained.exit_code == 0, trained.output
    assert f"test accuracy {best[3]} (epoch 1 of 1, the best on the validation images)" in trained.stdout
    assert f"validation accuracy {best[2]}  " in trained.stdout
    again = fastnn(*TUNE)
    assert again.exit_code == 0
    assert "  trial " not in again.stdout.replace("trial   validation", "")
    assert best[0] in again.stdout
    other = fastnn(*TUNE, "--epochs", "2")
    assert (other.exit_code, len(other.stderr.splitlines())) == (1, 1)
    assert "is another one: training.epochs was 1, is 2; choose another folder, storage or name" in other.stderr


def test_the_space_that_is_printed_is_one_that_is_read(fastnn, tmp_path):
    printed = fastnn("tune", "--model", "lenet5", "--optimizer", "sgd", "--print-space")
    assert printed.exit_code == 0
    assert "sgd.learning_rate = {low = 0.005, high = 0.5, log = true}" in printed.stdout
    assert "adam" not in printed.stdout
    (tmp_path / "space.toml").write_text(printed.stdout)
    again = fastnn("tune", "--model", "lenet5", "--optimizer", "sgd", "--space", "space.toml", "--print-space")
    assert again.stdout == printed.stdout
    assert not (tmp_path / "runs").exists()


def test_a_grid_of_a_file_and_a_recipe(fastnn, tmp_path):
    (tmp_path / "space.toml").write_text("[network]\nhidden = [[4], [8, 4]]\n")
    result = fastnn("tune", "--recipe", "mlp-256", "--dataset", "digits", "--backend", "numpy", "--epochs", "1",
                    "--space", "space.toml", "--search", "grid", "--out", "found")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "  hidden 8,4  complete" in result.stdout
    assert "of 1" in result.stdout
    assert "2/2  trial 1" in result.stdout
    assert "momentum = 0.9" in (tmp_path / "found" / "best.toml").read_text()


def test_what_a_flag_fixes_is_not_in_the_file(fastnn, tmp_path):
    (tmp_path / "space.toml").write_text("[network]\ndropout = [0.0, 0.1]\n")
    result = fastnn("tune", "--dropout", "0.1", "--space", "space.toml")
    assert result.exit_code == 2
    assert result.stderr.startswith("fastnn tune: --dropout fixes what space.toml searches: network.dropout")
    (tmp_path / "space.toml").write_text("[network]\nwidth = [8, 16]\n")
    result = fastnn("tune", "--model", "mlp", "--hidden", "8,4", "--space", "space.toml")
    assert result.stderr.startswith("fastnn tune: --hidden fixes what space.toml searches: network.width")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--space", "none.toml"], 1, "none.toml: cannot be read: No such file or directory"),
        (["--space", "bad.toml"], 1, "bad.toml: training.batch_size: low must be <= high, got 9 > 8"),
        (["--storage", "sqlite:////no/study.db"], 1, "tune: the storage sqlite:////no/study.db cannot be used"),
        (["--trials", "0"], 2, "--trials"),
        (["--search", "luck"], 2, "'luck' is not one of"),
        (["--config", "a", "--recipe", "mlp"], 2, "--config and --recipe exclude each other"),
    ],
)
def test_errors_are_one_line(fastnn, tmp_path, arguments, status, message):
    (tmp_path / "bad.toml").write_text("training.batch_size = {low = 9, high = 8}\n")
    result = fastnn("tune", "--backend", "numpy", *arguments)
    assert result.exit_code == status
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr


def test_no_complete_trial_is_an_error(fastnn):
    result = fastnn("tune", "--model", "mlp", "--optimizer", "sgd", "--lr", "1e30", "--trials", "1", "--epochs", "1",
                    "--backend", "numpy")  # fmt: skip
    assert result.exit_code == 1
    assert result.stderr.startswith("fastnn: tune: no trial is complete; trial 0 diverged: the loss is ")


@pytest.mark.parametrize(
    ("storage", "then"),
    [
        ("sqlite:///study.db", "the same command, a minute later, makes up for it"),
        ("journal:study.log", "a journal does not know; then --trials has to ask for one more"),
    ],
)
@pytest.mark.filterwarnings("ignore:Heartbeat of storage", "ignore::optuna.exceptions.ExperimentalWarning")
def test_trials_that_do_not_end_are_told_and_not_counted(fastnn, storage, then):
    from fastnn.tuning import _storage

    assert "best of 2 trials: " in fastnn(*TUNE, "--storage", storage).stdout
    study = _storage.study(storage, "tune")
    lost = study.ask()
    lines = fastnn(*TUNE, "--storage", storage).stdout.splitlines()
    assert lines[-3] == f"1 still in training elsewhere, or its process has died: {then}"
    assert lines[-2].startswith("best of 2 trials: ")
    study.tell(lost, state=optuna.trial.TrialState.FAIL)
    lines = fastnn(*TUNE, "--storage", storage).stdout.splitlines()
    assert "elsewhere" not in lines[-3]
    assert lines[-2].startswith("best of 2 trials: ")


def command(*arguments):
    return [sys.executable, "-m", "fastnn", "tune", "--model", "mlp", "--backend", "numpy", *arguments]


def test_ctrl_c_keeps_what_is_complete_and_says_how_to_go_on(tmp_path):
    long = command("--epochs", "2", "--trials", "500", "--out", "found")
    process = subprocess.Popen(long, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("2/500"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "fastnn: interrupted\n"
    assert out.splitlines()[-1] == "found has what was reached; the same command goes on from there"
    rows = (tmp_path / "found" / "trials.csv").read_text().splitlines()[1:]
    done = sum(",complete," in row or ",pruned," in row for row in rows)
    assert done >= 2
    more = command("--epochs", "2", "--trials", str(done + 1), "--out", "found")
    result = subprocess.run(more, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert f"\n{done + 1}/{done + 1}  trial {len(rows)}  " in result.stdout
    assert result.stdout.count("  trial ") - result.stdout.count("  trial   validation") == 1


def test_a_terminal_shows_a_table_that_grows(tmp_path):
    parent, child = pty.openpty()
    process = subprocess.Popen(
        command("--epochs", "2", "--trials", "3", "--out", "found"), cwd=tmp_path, stdout=child, stderr=child,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"},
    )  # fmt: skip
    os.close(child)
    shown, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        try:
            shown += os.read(parent, 65536)
        except OSError:  # the other side is closed
            break
    os.close(parent)
    assert process.wait(timeout=60) == 0, shown.decode()
    text = shown.decode()
    for n in range(4):
        assert f"{n} of 3 trials" in text
    assert "running" in text
    assert "best of 3 trials" in text
    assert "\x1b[?25h" in text  # the cursor is back
