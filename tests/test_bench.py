"""`fastnn bench`: works and figures, the proof that sides agree, rows, reports, options. Nothing big is measured."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from fastnn.bench import child, inputs, measure, nets, peers, processes, programs, report, run, workloads
from fastnn.bench.measure import Effort, agree
from fastnn.bench.peers.own import Own, build
from fastnn.bench.rows import Measured, make_row
from fastnn.bench.text import amount, one_line, seconds
from fastnn.cli import main

TINY = workloads.BY_ID["mlp-tiny-16"]
NUMPY = (peers.BY_NAME["numpy"],)
SHORT = Effort(rounds=2, pause=0.0, block=0.001, runs=1)


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Runs `fastnn bench` in an empty folder, without data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["bench", *map(str, arguments)], prog_name="fastnn")


# Works and networks


def test_every_work_is_complete():
    assert len(workloads.BY_ID) == len(workloads.WORKS)
    for work in workloads.WORKS:
        assert work.title
        assert work.multiply_adds > 0
        for figure in work.figures:
            assert all(name.split("/")[0] in peers.BY_NAME for name in figure.against)
            assert str(figure)


def test_select():
    assert [work.id for work in workloads.select(["predict-mlp-1"])] == ["predict-mlp-1"]
    assert [work.id for work in workloads.select(["cnn", "mlp-tiny-*"])] == [
        "mlp-tiny-16", "mlp-tiny-10000", "cnn-64", "cnn-128",
    ]  # fmt: skip
    assert workloads.select([]) == list(workloads.WORKS)
    with pytest.raises(ValueError, match="no work fits 'gpt'"):
        workloads.select(["mlp", "gpt"])


@pytest.mark.parametrize("net", [nets.MLP, nets.LENET5, nets.CNN, nets.VGG, nets.RESNET, nets.MNIST_CNN])
def test_networks_are_what_fastnn_builds_of_them(net):
    weights = inputs.weights(net)
    assert [w.shape for w in weights] == net.weight_shapes()
    model = build(net, weights, "numpy")
    np.testing.assert_array_equal(model.parameters, np.concatenate([w.ravel() for w in weights]))
    assert model.output_shape == (net.classes,)


def test_multiply_adds():
    assert nets.MLP_TINY.multiply_adds() == (4 * 32 + 32 * 16 + 16 * 4, 4 * 32)
    total, first = nets.LENET5.multiply_adds()
    assert first == (28 * 5 - 2 * (2 + 1)) ** 2 * 6  # taps in the padding left out
    assert total == first + (10 * 5) ** 2 * 6 * 16 + 400 * 120 + 120 * 84 + 84 * 10
    assert workloads.BY_ID["predict-mlp-1"].multiply_adds == nets.MLP.multiply_adds()[0]


def test_channels_first_permutes_the_rows_behind_flatten_only():
    weights = inputs.weights(nets.CNN)
    permuted = inputs.channels_first(nets.CNN, weights)
    same = [np.array_equal(a, b) for a, b in zip(weights, permuted, strict=True)]
    assert same == [True] * 4 + [False] + [True] * 3
    images = np.random.default_rng(0).random((2, 7, 7, 64), np.float32)
    np.testing.assert_allclose(
        images.transpose(0, 3, 1, 2).reshape(2, -1) @ permuted[4], images.reshape(2, -1) @ weights[4], atol=1e-4
    )


# Agreement


def test_sides_of_the_same_weights_agree_and_the_loss_moves():
    first, second = (Own(TINY, "numpy").losses(4) for _ in range(2))
    agree("NumPy", first, second)
    assert abs(first[-1] - first[0]) > 10 * measure.TOLERANCE * first[0]


def test_a_side_with_other_weights_is_an_error():
    wrong = Own(TINY, "numpy", seed=1).losses(4)
    with pytest.raises(child.SideError, match=r"NumPy: its results \[.*\] are not ours, \["):
        agree("NumPy", wrong, Own(TINY, "numpy").losses(4))


def test_a_side_with_another_momentum_is_an_error(monkeypatch):
    wanted = Own(TINY, "numpy").losses(4)
    monkeypatch.setattr(inputs, "MOMENTUM", 0.8)
    with pytest.raises(child.SideError):
        agree("NumPy", Own(TINY, "numpy").losses(4), wanted)


@pytest.mark.parametrize("found", [[1.0, 2.001], [1.0], [1.0, float("nan")], [[1.0, 2.1]]])
def test_disagreement(found):
    with pytest.raises(child.SideError):
        agree("JAX", found, [1.0, 2.0])
    agree("JAX", [1.0, 2.0001], [1.0, 2.0])


# Rows


def side(peer, variant, times, ours):
    return Measured(peer, variant, 2, times, [t / o for t, o in zip(times, ours, strict=False)])


def test_the_best_variant_counts_and_figures_are_judged():
    ours = [1.0, 1.0, 1.0]
    sides = [
        side("pytorch", "eager", [30.0, 33.0, 36.0], ours), side("jax", "step", [5.0, 4.0, 3.0], ours),
        side("jax", "scan", [2.0, 2.5, 2.2], ours), side("pytorch", "slow", [90.0], ours),
    ]  # fmt: skip
    row = make_row(TINY, ours, sides, share=0.5)
    assert (row["best"], row["ratio"]) == ("jax", 2.2)
    assert row["peers"]["jax"]["variant"] == "scan, 2 threads"
    assert row["peers"]["pytorch"]["variants"]["slow, 2 threads"]["rounds"] == 1
    assert [(f["value"], f["reached"]) for f in row["figures"]] == [(33.0, True), (4.0, True)]
    assert all(f["reached"] is None for f in make_row(TINY, ours, [])["figures"])


def test_figures_of_seconds_and_shares():
    row = make_row(workloads.BY_ID["first-step-warm"], [1.2], [])
    assert row["figures"][0]["reached"] is False
    row = make_row(workloads.BY_ID["mlp-128"], [1.0], [], share=0.71)
    assert [f["reached"] for f in row["figures"]] == [None, True]


@pytest.mark.parametrize(("accuracy", "reached"), [(0.991, True), (0.989, False)])
def test_a_run_that_never_gets_to_99_percent_reaches_no_figure(monkeypatch, accuracy, reached):
    def program(self, name, library, *arguments, **variables):
        return (1.0 if library == "fastnn" else 5.0), {"accuracies": [0.9, accuracy]}

    monkeypatch.setattr(processes.Processes, "_run", program)
    sides = processes.Processes([peers.BY_NAME["pytorch"]], 1, 2, 0.0, None)
    row = sides.measure(workloads.BY_ID["mnist-99"])
    assert row["ratio"] == 5.0
    assert row["figures"][0]["reached"] is reached
    assert row["notes"][0].startswith(f"fastnn: 99% in {2 * reached} of 2 runs")


def test_text():
    assert seconds(4.56e-5) == "45.6 µs"
    assert amount(3 * 2**20, "bytes") == "3 MiB"
    assert one_line("no MNIST in\n /home/me/data: x") == "no MNIST in data: x"
    assert one_line("1/2, a/b") == "1/2, a/b"


# A run, with the report of it


@pytest.fixture(scope="module")
def document():
    """A run of the smallest work beside NumPy, in child processes."""
    said, kept = [], []
    works = [TINY, workloads.BY_ID["mnist-99"]]
    made = run.run(works, NUMPY, 1, SHORT, None, said.append, lambda document: kept.append(len(document["rows"])))
    assert kept == [1, 1]
    assert said[0].startswith("mlp-tiny-16: ")
    assert "x NumPy" in said[0]
    return made


def test_a_run(document):
    (row,) = document["rows"]
    assert document["errors"] == []
    assert "FASTNN_DATA" in document["left_out"]["mnist-99"]
    assert row["best"] == "numpy"
    assert row["ratio"] > 0
    assert row["ours"]["median"] > 0
    assert 0 < row["share"] < 1
    assert {"cpu", "cpus", "tile"} <= set(document["machine"])


def test_reports(document, tmp_path):
    text = report.markdown(document)
    assert "| MLP 4-32-16-4 tanh, batch 16 |" in text
    assert "20x PyTorch eager: not measured" in text
    assert "- left out: mnist-99: " in text
    missing = report.write_all(tmp_path, document)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"bench.json", "bench.md"} | (set() if missing else {"bench.png"})
    assert json.loads((tmp_path / "bench.json").read_text()) == document
    for path in tmp_path.glob("bench.[jm]*"):
        assert str(tmp_path.parent) not in path.read_text()


def test_the_chart(document, tmp_path):
    pytest.importorskip("matplotlib")
    assert report.write_all(tmp_path, document) == ""
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    alone = {**document, "rows": [{**document["rows"][0], "peers": {}}]}
    del alone["rows"][0]["best"]
    assert report.write_all(tmp_path, alone) == "without bench.png: no row has a peer"


def test_without_matplotlib(document, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "fastnn[plot]" in report.write_all(tmp_path, document)
    assert (tmp_path / "bench.md").is_file()


def test_a_losing_row_is_shown(document):
    losing = {**document, "rows": [{**document["rows"][0], "ratio": 0.5}]}
    assert "rows: 1, behind the best peer in 1" in report.markdown(losing)


def test_a_disagreeing_side_makes_no_row(monkeypatch):
    def lie(peer, found, wanted, tolerance):
        raise child.SideError(f"{peer}: its results [1] are not ours, [2]")

    monkeypatch.setattr(measure, "agree", lie)
    made = run.run([TINY], NUMPY, 1, SHORT, say=lambda line: None)
    assert made["rows"] == []
    assert made["errors"] == [{"id": TINY.id, "message": "NumPy: its results [1] are not ours, [2]"}]
    assert "- error: mlp-tiny-16: NumPy" in report.markdown(made)


def test_absent_libraries_are_left_out_with_a_word(monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda package: None)
    said: list[str] = []
    with measure.Bench(peers.PEERS, 1, SHORT, said.append) as bench:
        assert [peer.name for peer in bench.peers] == ["numpy"]
    assert "without scikit-learn: not installed: scikit-learn" in said
    assert "without onnxruntime: not installed: onnx, onnxruntime" in said


def test_a_child_answers_errors_and_its_end_is_one():
    holder = child.Holder("numpy", 1)
    assert holder.answer({"do": "load", "key": "", "work": "gpt", "variant": ""}) == {"error": "KeyError: 'gpt'"}
    process = child.Child(peers.BY_NAME["numpy"], 1)
    process._process.kill()
    process._process.wait()
    with pytest.raises(child.SideError, match="numpy: its process ended with status -9"):
        process.ask("describe")
    process.close()


def test_a_library_that_cannot_be_imported_is_unavailable(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "fastnn.bench.peers.pytorch", raising=False)
    answer = child.Holder("pytorch", 1).answer({"do": "load", "key": "", "work": TINY.id, "variant": "eager"})
    assert answer["unavailable"].startswith("cannot be imported")


def test_peak_memory():
    assert 10 * 2**20 < programs.peak_memory() < 2**40


# The command line


def test_list(invoke):
    result = invoke("--list")
    assert result.exit_code == 0, result.output
    assert "mlp-32                 MLP 784-256-128-10 relu, batch 32; 2x PyTorch and JAX" in result.stdout
    assert "numpy                  with fastnn" in result.stdout
    assert "jax" not in invoke("--list", "--work", "mlp-32", "--no-peers").stdout.splitlines()[-1]


def test_a_run_of_the_command(invoke, tmp_path):
    result = invoke(
        "--quick", "--peer", "numpy", "--work", "mlp-tiny-16", "--rounds", 1, "--threads", 1, "--out", "new/out"
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("mlp-tiny-16: ")
    assert lines[-1].startswith("written to new/out")
    made = json.loads((tmp_path / "new" / "out" / "bench.json").read_text())
    assert made["settings"] == {"threads": 1, "peers": ["numpy"], "rounds": 1, "pause": 0.1, "block": 0.05, "runs": 1}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--peer", "tensorflow"], "'tensorflow' is not one of numpy, pytorch"),
        (["--peer", "numpy", "--no-peers"], "exclude each other"),
        (["--work", "gpt"], "no work fits 'gpt'"),
        (["--rounds", "0"], "0 is not in the range"),
        (["--threads", "4096"], "--threads must be at most"),
    ],
)
def test_wrong_usage(invoke, arguments, part):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert part in result.stderr


def test_an_error_is_the_exit_status(invoke, monkeypatch):
    def fail(peer, found, wanted, tolerance):
        raise child.SideError(f"{peer} lies")

    monkeypatch.setattr(measure, "agree", fail)
    result = invoke("--no-peers", "--work", "mlp-tiny-16", "--threads", 1)
    assert result.exit_code == 1
    assert result.stderr == "fastnn: bench: no row for mlp-tiny-16: see the errors above\n"
