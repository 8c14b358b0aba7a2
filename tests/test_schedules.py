"""Schedules: each formula, planning, warm-up."""

import math

import pytest

from fastnn.schedules import Constant, Cosine, Exponential, InverseTime, OneCycle, Schedule, Step, WarmUp, get


def rates(schedule, steps):
    return [schedule.rate(step) for step in steps]


def test_formulas():
    assert rates(Constant(0.1), [0, 99]) == [0.1, 0.1]
    assert rates(InverseTime(1, 0.5), [0, 1, 2, 4]) == [1, 1 / 1.5, 1 / 2, 1 / 3]
    assert rates(Exponential(1, steps_per_epoch=3), [0, 2, 3, 6]) == [1, 1, 0.95, 0.95**2]
    assert rates(Step(1, every=2, factor=0.1, steps_per_epoch=5), [0, 9, 10, 20]) == [1, 1, 0.1, 0.1**2]


def test_cosine():
    schedule = Cosine(1, total_steps=5, final=0.2)
    expected = [1, 0.6 + 0.4 * math.cos(math.pi / 4), 0.6, 0.6 - 0.4 * math.cos(math.pi / 4), 0.2, 0.2]
    assert rates(schedule, range(6)) == pytest.approx(expected)
    assert Cosine(1, total_steps=1).rate(0) == 1


def test_one_cycle():
    schedule = OneCycle(1, total_steps=11, warmup=0.4, start_divisor=10, final_divisor=100)
    assert rates(schedule, [0, 2, 4, 7, 10, 50]) == pytest.approx([0.1, 0.55, 1, 0.5005, 0.001, 0.001])
    values = rates(schedule, range(11))
    assert values[:5] == sorted(values[:5])
    assert values[4:] == sorted(values[4:], reverse=True)
    assert OneCycle(1, total_steps=11, warmup=0).rate(0) == 1


def test_warm_up_goes_before_any_of_them():
    assert rates(WarmUp(1.0, 3), [0, 1, 2, 3, 9]) == [0.25, 0.5, 0.75, 1, 1]
    cosine = Cosine(2, total_steps=5)
    assert rates(WarmUp(cosine, 1), range(1, 6)) == rates(cosine, range(5))
    assert WarmUp(cosine, 1).rate(0) == 1


@pytest.mark.parametrize("make", [lambda **k: Exponential(1, 0.5, **k), lambda **k: Step(1, 1, 0.5, **k)])
def test_epochs_are_planned(make):
    schedule = make()
    with pytest.raises(RuntimeError, match="steps_per_epoch is open; pass it, or train with fit$"):
        schedule.rate(0)
    schedule.plan(total_steps=100, steps_per_epoch=10)
    assert rates(schedule, [9, 10, 20]) == [1, 0.5, 0.25]
    schedule.plan(total_steps=100, steps_per_epoch=20, first_step=100)
    assert schedule.rate(20) == 0.5
    fixed = make(steps_per_epoch=2)
    fixed.plan(total_steps=100, steps_per_epoch=10)
    assert fixed.rate(2) == 0.5


@pytest.mark.parametrize("kind", [Cosine, OneCycle])
def test_runs_are_planned_and_begin_where_training_does(kind):
    schedule = kind(1)
    with pytest.raises(RuntimeError, match=f"^{kind.__name__}: total_steps is open; pass it, or train with fit$"):
        schedule.rate(0)
    schedule.plan(total_steps=5, steps_per_epoch=1)
    first = rates(schedule, range(5))
    schedule.plan(total_steps=5, steps_per_epoch=1, first_step=5)
    assert rates(schedule, range(5, 10)) == first
    fixed = kind(1, total_steps=5)
    fixed.plan(total_steps=50, steps_per_epoch=1, first_step=5)
    assert rates(fixed, range(5)) == first


def test_a_planned_run_after_warm_up_ends_with_the_training():
    schedule = WarmUp(Cosine(1), steps=4)
    schedule.plan(total_steps=10, steps_per_epoch=5)
    assert schedule.rate(4) == 1
    assert schedule.rate(9) == pytest.approx(0)
    assert schedule.rate(8) > 0
    schedule.plan(total_steps=10, steps_per_epoch=5, first_step=10)
    assert schedule.rate(10) == 1
    assert schedule.rate(19) == pytest.approx(0)


def test_get():
    schedule = Constant(1)
    assert get("SGD", "learning_rate", schedule) is schedule
    assert get("SGD", "learning_rate", 2).rate(7) == 2


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Constant(-1), ValueError, "Constant: learning_rate must be >= 0, got -1"),
        (lambda: InverseTime(1, -1), ValueError, "InverseTime: decay must be >= 0, got -1"),
        (lambda: Exponential(1, 0), ValueError, "Exponential: factor must be > 0, got 0"),
        (lambda: Step(1, 0), ValueError, "Step: every must be >= 1, got 0"),
        (lambda: Cosine(1, 1.5), TypeError, "Cosine: total_steps must be an integer, got float"),
        (lambda: OneCycle(1, warmup=1), ValueError, "OneCycle: warmup must be >= 0 and < 1, got 1"),
        (lambda: WarmUp(1, 0), ValueError, "WarmUp: steps must be >= 1, got 0"),
        (lambda: WarmUp("cosine", 1), TypeError, "WarmUp: then must be a number, got 'cosine'"),
        (lambda: Schedule().rate(0), TypeError, "Schedule must define rate"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        make()
