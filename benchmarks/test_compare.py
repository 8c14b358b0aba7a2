"""The comparison of two runs finds what got slower, and says in one line what it cannot read."""

import json

import pytest

from .compare import main


def bench(path, **rows):
    """A file of `fastnn bench` with the given ratios by row and peer."""
    content = [
        {"id": name, "peers": {peer: {"ratio": {"median": ratio}} for peer, ratio in peers.items()}}
        for name, peers in rows.items()
    ]
    path.write_text(json.dumps({"format": "fastnn-bench-1", "rows": content}))
    return str(path)


def pytest_file(path, **rows):
    """A file of pytest-benchmark with the given ratios; None: a row without."""
    content = [
        {"fullname": name, "extra_info": {} if ratio is None else {"ratio": ratio}} for name, ratio in rows.items()
    ]
    path.write_text(json.dumps({"benchmarks": content}))
    return str(path)


def test_a_slower_row_is_named(tmp_path, capsys):
    old = bench(tmp_path / "old", mlp={"numpy": 2.0, "jax": 1.0}, cnn={"numpy": 5.0}, gone={"numpy": 1.0})
    new = bench(tmp_path / "new", mlp={"numpy": 1.6, "jax": 0.8}, cnn={"numpy": 4.6})
    assert main([old, new]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 rows compared, 1 in one run only; slower by more than 10%: 1"
    assert lines[1:] == ["-20% mlp: numpy 2.00 -> 1.60, jax 1.00 -> 0.80"]


def test_one_peer_that_got_faster_makes_no_slower_row(tmp_path):
    old = bench(tmp_path / "old", mlp={"numpy": 2.0, "jax": 1.0, "pytorch": 3.0})
    new = bench(tmp_path / "new", mlp={"numpy": 2.0, "jax": 0.5, "pytorch": 3.0, "sklearn": 0.1})
    assert main([old, new]) == 0


def test_files_of_pytest_benchmark(tmp_path, capsys):
    old = pytest_file(tmp_path / "old", dense=1.5, conv=3.0, start=None)
    new = pytest_file(tmp_path / "new", dense=1.3, conv=3.5, start=None)
    assert main([old, old]) == 0
    assert main([old, new]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "-13% dense: NumPy 1.50 -> 1.30"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "No such file"),
        ("{", "no JSON"),
        ("[]", "a damaged row"),
        ("{}", "neither of pytest-benchmark nor of fastnn bench"),
        ('{"benchmarks": [{}]}', "a damaged row (KeyError: 'fullname')"),
        ('{"benchmarks": []}', "is of fastnn bench"),
        ('{"format": "fastnn-bench-1", "rows": []}', "no row in common"),
    ],
)
def test_bad_files(tmp_path, capsys, content, part):
    other = tmp_path / "other"
    if content is not None:
        other.write_text(content)
    assert main([bench(tmp_path / "good", mlp={"numpy": 1.0}), str(other)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("compare: ")
    assert part in line


def test_usage(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
