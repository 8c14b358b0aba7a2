"""The table of shapes covers every operation; the table of results hides nothing."""

from fastnn import kernels

from .shapes import TABLE, Conv
from .table import markdown, seconds


def test_every_operation_has_rows():
    questions = {name for name in kernels.__all__ if name.startswith("has_") or name.endswith("_scratch_size")}
    assert set(TABLE) == set(kernels.__all__) - questions
    assert all(TABLE.values())


def test_multiply_adds_leave_padding_out():
    assert Conv(1, 4, 1, 1, same=False).multiply_adds == 4 * 9
    assert Conv(1, 4, 1, 1).multiply_adds == (4 * 3 - 2) ** 2
    assert Conv(2, 4, 6, 8, groups=2).multiply_adds == 2 * 100 * 3 * 8
    assert Conv(1, 5, 1, 1, stride=2).multiply_adds == (3 * 3 - 2) ** 2
    assert Conv(1, 4, 1, 1, stride=2).padding == 0


def page(**row):
    benchmark = {"group": "dense", "extra_info": {"operation": "dense_forward", "shape": "1x2x3", **row}}
    return markdown({"benchmarks": [benchmark], "machine_info": {"fastnn": {"cpu": "x"}}, "datetime": "2020-01-02T03"})


def test_a_losing_row_is_shown_as_such():
    text = page(ours=2e-3, theirs=1e-3, ratio=0.5, ratio_least=1.2)
    assert "| dense_forward | 1x2x3 | 2 ms | 1 ms | **0.50** | times NumPy's speed at least 1.20 |" in text
    assert "slower than NumPy: 1\n" in text
    assert "miss their figure: 1\n" in text


def test_a_winning_row_is_not():
    text = page(ours=1e-3, theirs=2e-3, ratio=2.0, ratio_least=1.2, copy_ratio=1.4, copy_ratio_most=1.5)
    assert "| 1 ms | 2 ms | 2.00 | 1.40 |  |" in text
    assert "slower than NumPy: 0\n" in text
    assert "miss their figure: 0\n" in text


def test_seconds():
    values = (1.234, 0.0123, 4.56e-5, 7.89e-8, -0.012)
    assert [seconds(value) for value in values] == ["1.23 s", "12.3 ms", "45.6 µs", "78.9 ns", "-12 ms"]
