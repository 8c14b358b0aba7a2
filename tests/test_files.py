"""Files that are there as a whole or not at all."""

import os

import pytest

from fastnn import _files


def test_text_and_bytes_replace_what_was_there(tmp_path):
    path = tmp_path / "file"
    for content, expected in ((b"\x00\xff", b"\x00\xff"), ("größer\n", "größer\n".encode())):
        _files.replace(path, content)
        assert path.read_bytes() == expected
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        _files.replace(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
