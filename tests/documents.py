"""The code in the documents: fenced blocks, and pages run from top to bottom.

`FASTNN_DATA=... python tests/documents.py docs/tutorial.md` runs a page on MNIST and prints what its blocks print; with
--digits it takes the embedded digits.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block: its language, the file that its title names, its text, the line where it begins."""

    language: str
    title: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks that name a language."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        yield Block(match[1], match[2] or "", match[3], text.count("\n", 0, match.start()) + 1)


def run(page: Path, folder: Path, digits: bool) -> None:
    """Run the Python blocks of a page in folder, which is the working directory and on sys.path.

    A block with a title is a file of that name, a diff changes it; both are run by themselves. The others share their
    names. digits: the embedded digits stand in for MNIST.
    """
    shared: dict[str, object] = {}
    for block in blocks(page):
        text = block.text.replace("load_mnist", "load_digits") if digits else block.text
        if block.language == "diff":
            text = _changed((folder / block.title).read_text(encoding="utf-8"), text)
        elif block.language != "python":
            continue
        file = folder / (block.title or f"line_{block.line}.py")
        file.write_text(text, encoding="utf-8")
        names = runpy.run_path(str(file), None if block.title else shared)
        if not block.title:
            shared = names


def _changed(text: str, diff: str) -> str:
    old = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in " -")
    new = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in " +")
    if text.count(old) != 1:
        raise ValueError(f"the text to change must be there once, got {text.count(old)} times: {old!r}")
    return text.replace(old, new)


if __name__ == "__main__":
    page = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, folder)
        run(page, Path(folder), digits="--digits" in sys.argv)
