"""The cost model and the curves of `fastnn growth`."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import fastnn as fn
from fastnn.bench import cost, growth
from fastnn.cli import main

MACHINE = cost.Machine(
    threads=2,
    peak=200e9,
    shares={f"{n} {size}": 0.5 for n in cost.PRODUCTS for size in cost._DENSE}
    | {f"{n} {width}": 0.5 for n in cost.CONVOLUTIONS for width in cost._WIDTHS},
    traffic=((1 << 14, 100e9), (1 << 26, 10e9)),
    call=1e-6,
    region=1e-6,
)


def model():
    layers = [fn.Conv2D(1, 6, 3, padding="same"), fn.ReLU(), fn.MaxPool2D(2), fn.Flatten(), fn.Dense(None, 10)]
    made = fn.Sequential(layers, (8, 8, 1), seed=0)
    made.compile(fn.SGD(0.01, momentum=0.9), fn.SoftmaxCrossEntropy())
    return made


@pytest.mark.parametrize("batch", [16, 3])  # from a vector of images on, convolution and pooling are one operation
def test_operations_are_those_of_the_recorded_step(batch):
    x, y = np.zeros((32, 8, 8, 1), np.float32), np.zeros(32, int)
    operations, working_set = cost.recorded_operations(model(), x, y, batch)
    names = [operation.name for operation in operations]
    assert names[:2] == ["gather", "gather"]
    forward, back = cost.POOLED[:2] if batch == 16 else cost.CONVOLUTIONS[:2]
    assert names.count(forward) == names.count(back) == 1
    assert "conv2d_input_gradient" not in names  # the first layer needs none
    by_name = {operation.name: operation for operation in operations}
    assert by_name[forward].flops == by_name[back].flops == 2 * batch * 64 * 9 * 6
    assert by_name["dense_weight_gradient"].flops == 2 * batch * 96 * 10
    assert by_name[forward].kind == f"{forward} image"
    assert working_set > x[:batch].nbytes


def test_pooling_within_winograd_counts_as_its_convolution():
    layers = [fn.Conv2D(1, 16, 3), fn.Conv2D(16, 32, 3), fn.MaxPool2D(2), fn.Flatten(), fn.Dense(None, 10)]
    made = fn.Sequential(layers, (18, 18, 1), seed=0)
    made.compile(fn.SGD(0.01), fn.SoftmaxCrossEntropy())
    operations, _ = cost.recorded_operations(made, np.zeros((32, 18, 18, 1), np.float32), np.zeros(32, int), 32)
    inner = {operation.name: operation for operation in operations if operation.name in cost.POOLED}
    assert [inner[name].kind for name in cost.POOLED] == [f"{name} 16" for name in (
        "conv2d_forward", "conv2d_weight_gradient", "conv2d_input_gradient")]  # fmt: skip
    assert {operation.flops for operation in inner.values()} == {2 * 32 * 14 * 14 * 9 * 16 * 32}
    assert inner["conv2d_pool_forward"].fill == pytest.approx(2.25 * 14 * 14 / 441)  # 9 tiles of 5x5 outputs


def test_seconds_are_start_arithmetic_and_traffic():
    product = cost.Operation("dense_forward", "dense_forward small", 1e9, 1 << 20)
    at_peak = 1e9 / (200e9 * 0.5)
    assert MACHINE.seconds(product, 1 << 14) == pytest.approx(2e-6 + at_peak + (1 << 20) / 100e9 / 2)
    small = cost.Operation("dense_forward", "dense_forward small", 1e3, 64)
    assert MACHINE.seconds(small, 1 << 14) == pytest.approx(1e-6 + 1e3 / (100e9 * 0.5), rel=1e-2)  # one thread
    assert MACHINE.bandwidth(1 << 20) == pytest.approx(np.sqrt(100e9 * 10e9))
    assert MACHINE.bandwidth(1) == pytest.approx(100e9)


def test_an_update_reads_and_writes_all_but_the_gradients():
    gradients, v, w = (np.zeros(100, np.float32) for _ in range(3))
    assert cost.describe("sgd_update", (gradients, 0.1, 0.9, False, 0.0, v, w)).bytes == 5 * 400


def test_the_best_round_of_each_measurement_counts():
    half = replace(MACHINE, peak=100e9, traffic=((1 << 14, 50e9), (1 << 26, 20e9)), call=2e-6)
    best = cost.best([half, MACHINE])
    assert (best.peak, best.call, best.shares) == (200e9, 1e-6, MACHINE.shares)
    assert best.traffic == ((1 << 14, 100e9), (1 << 26, 20e9))
    quick = replace(half, shares=dict.fromkeys(half.shares, 1.5))  # at 150 GFLOP/s, where MACHINE is at 100
    assert set(cost.best([quick, MACHINE]).shares.values()) == {0.75}


def test_the_roofline_is_the_longer_of_arithmetic_and_traffic():
    work = [
        cost.Operation("dense_forward", "dense_forward small", 2e9, 1000),
        cost.Operation("sgd_update", "traffic", 0, 10**9),
    ]
    assert cost.step_cost(MACHINE, work, 1 << 26).roofline == pytest.approx(max(0.01, 0.1), rel=1e-3)


def test_a_step_that_cannot_be_recorded_is_refused():
    made = fn.Sequential([fn.Dense(4, 2, backend="numpy")], (4,))
    with pytest.raises(ValueError, match="bench: the model's step cannot be recorded"):
        cost.recorded_operations(made, np.zeros((4, 4), np.float32), np.zeros(4, int), 4)


POINTS = [growth.Point(curve.title, at, 2e-3, 1.9e-3, 1e-3, 100.0) for curve in growth.CURVES for at in curve.values]


def test_pages_of_points():
    page = growth.markdown(POINTS)
    assert page.count("## ") == len(growth.CURVES)
    assert f"{len(POINTS)} of {len(POINTS)} predictions are within 20 %" in page
    off = [growth.Point(growth.CURVES[0].title, 8, 1e-3, 1.5e-3, 1e-4, 1.0)]
    assert "0 of 1 predictions are within 20 % of the measured time; the median is off by 50%" in growth.judgement(off)
    assert growth.rows(off)[0]["error"] == pytest.approx(0.5)
    pytest.importorskip("matplotlib")
    assert growth.png(POINTS).startswith(b"\x89PNG")


def test_curves_are_measured_in_rounds(monkeypatch):
    calibrated, said, before = [], [], fn.get_num_threads()
    widths = growth.Curve("MLP", "width", (8, 16), lambda w: ([fn.Dense(None, w), fn.Dense(None, 10)], (20,), 4))
    threads = growth.Curve("MLP", "threads", (1, before + 1), lambda t: ([fn.Dense(None, 10)], (20,), 4), True)
    unwanted = replace(widths, axis="depth")

    def calibrate():
        calibrated.append(fn.get_num_threads())
        return MACHINE

    monkeypatch.setattr(growth, "CURVES", (widths, unwanted, threads))
    monkeypatch.setattr(growth, "calibrate", calibrate)
    monkeypatch.setattr(growth, "_BLOCK", 1e-3)
    points = growth.measure(said.append, ["width", "threads"], 2)
    assert [(point.curve, point.at) for point in points] == [("MLP", 8), ("MLP", 16), ("MLP", 1)]
    assert calibrated == 2 * list(dict.fromkeys([before, 1]))
    assert fn.get_num_threads() == before
    assert said[:2] == ["round 1 of 2", "round 2 of 2"]
    assert len(said) == 2 + len(points)
    assert all(0 < point.roofline < point.predicted and 0 < point.measured < 1 for point in points)


def test_the_command(monkeypatch, tmp_path):
    batches = [point for point in POINTS if point.curve == growth.CURVES[0].title]
    monkeypatch.setattr(growth, "measure", lambda say, axes, rounds: batches)
    result = CliRunner().invoke(main, ["growth", "--curve", "batch", "--out", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert "written to" in result.output
    assert {"growth.json", "growth.md"} <= {path.name for path in (tmp_path / "new").iterdir()}
    wrong = CliRunner().invoke(main, ["growth", "--curve", "colour"])
    assert wrong.exit_code == 2
    assert "--curve must be one of batch, width, depth, channels, pixels, threads, got colour" in wrong.output
