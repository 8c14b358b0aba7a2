"""The documents say what is true: their code runs, their errors are real ones, the reference has every public name."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import documents
import pytest

import fastnn
from fastnn.cli import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ERRORS = DOCS / "errors.md"

# One line of a Python block in docs/errors.md: what the lines above it raise.
RAISED = re.compile(r"^# (\w+): (.*)$")


@pytest.fixture
def site(monkeypatch):
    """The folder of the site's own modules on sys.path."""
    monkeypatch.syspath_prepend(str(DOCS / "_site"))


PAGES = ["README.md", *(f"docs/{name}.md" for name in (
    "index", "tutorial", "training", "augmentation", "evaluation", "weights", "recipes", "tuning",
))]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page, tmp_path):
    command = [sys.executable, str(ROOT / "tests" / "documents.py"), str(ROOT / page), "--digits"]
    # One thread for NumPy's BLAS: its threads wait for each other, long on a busy machine.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_page_whose_code_fails_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Text\n\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n")
    with pytest.raises(AssertionError):
        documents.run(page, tmp_path, digits=True)


def test_a_diff_that_does_not_fit_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text('```python title="a.py"\nx = 1\n```\n\n```diff title="a.py"\n-x = 2\n+x = 3\n```\n')
    with pytest.raises(ValueError, match="must be there once, got 0 times"):
        documents.run(page, tmp_path, digits=True)


# Errors


def cases(text: str) -> Iterator[tuple[str, str]]:
    """The parts of a Python block, each with the error that it must raise; "" for the rest, which raises none."""
    code: list[str] = []
    for line in text.splitlines():
        if RAISED.match(line):
            yield "\n".join(code), line.removeprefix("# ")
            code = []
        else:
            code.append(line)
    if code:
        yield "\n".join(code), ""


def raised(code: str, names: dict[str, object]) -> str:
    """The error that code raises as "Type: message"; "" for none. What it defines goes to names."""
    try:
        exec(code, names)
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def agree(message: str, expected: str) -> bool:
    """Whether they are the same; " ..." stands for a list that grows."""
    start, dots, rest = expected.partition(" ...")
    return message.startswith(start) and message.endswith(rest) if dots else message == expected


def test_errors_are_those_of_the_code(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    names: dict[str, object] = {}
    for block in documents.blocks(ERRORS):
        if block.language == "python":
            for code, expected in cases(block.text):
                found = raised(code, names)
                assert agree(found, expected), f"docs/errors.md, block at line {block.line}: {expected}, got {found}"
        elif block.language == "console":
            capfd.readouterr()
            command, expected = block.text.split("\n", 1)
            with pytest.raises(SystemExit) as stopped:
                main(shlex.split(command)[2:], "fastnn")
            found = capfd.readouterr().err
            assert agree(found, expected), f"docs/errors.md, block at line {block.line}: {expected}, got {found}"
            assert stopped.value.code == (2 if " --help)" in expected else 1)


def test_other_messages_are_found():
    assert agree("A: b must be one of c, d, got e", "A: b must be one of c, ..., got e")
    assert not agree("A: b must be one of c, d, got e", "A: b must be one of c, ..., got f")
    assert not agree("A: b must be one of c, d, got e", "A: b must be one of c, d")


def quoted(text: str) -> Iterator[str]:
    """The messages in a page's running text: what stands in backticks and says more than a name."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for words in re.findall(r"`([^`]+)`", prose):
        message = " ".join(words.split())
        if re.search(r"[a-z'): ] (must|got|cannot|could|are|is) ", message):
            yield message


def patterns(package: Path) -> Iterator[str]:
    """Every text of the package that may be a message, as a pattern: parts that differ match anything."""
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts = [node.value]
            elif isinstance(node, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values]
            else:
                continue
            if sum(len(part.split()) for part in parts) > 3:
                yield ".+".join(re.escape(part) for part in parts)


def unreal(package: Path, page: Path) -> list[str]:
    known = re.compile("|".join(patterns(package)))
    return [message for message in quoted(page.read_text(encoding="utf-8")) if not known.search(message)]


def test_messages_in_running_text_are_real():
    assert list(quoted(ERRORS.read_text(encoding="utf-8")))
    assert unreal(Path(fastnn.__file__).parent, ERRORS) == []


def test_a_message_that_is_not_real_is_found(tmp_path):
    module = tmp_path / "fastnn" / "novel.py"
    module.parent.mkdir()
    module.write_text("def f(x):\n    raise ValueError(f'novel: x must be round, got {x}')\n")
    page = tmp_path / "errors.md"
    page.write_text("Says `novel: x must\nbe square, got 3` in `f`")
    assert unreal(module.parent, page) == ["novel: x must be square, got 3"]
    page.write_text("Says `novel: x must\nbe round, got 3` in `f`")
    assert unreal(module.parent, page) == []


# Reference


def reference() -> set[str]:
    """The names that the pages of the reference describe, without "fastnn."."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / "api").glob("*.md")))
    return set(re.findall(r"^::: fastnn\.(\S+)", pages, re.MULTILINE))


def test_every_public_name_is_in_the_reference():
    names = [name for name in fastnn.__all__ if not isinstance(getattr(fastnn, name), ModuleType)]
    assert set(names) - reference() == {"__version__"}


def test_the_reference_has_only_what_is_there():
    for name in reference():
        thing = fastnn
        for part in name.split("."):
            thing = getattr(thing, part)
        assert thing.__doc__, name


def test_docstrings_become_markdown(site):
    pytest.importorskip("griffe", reason="the site's builder is not installed: make docs")
    import prose

    text = """w -= rate * m' / (s + eps).

    x: C; None takes
    it from `Layer`. eps, rate: see `fit`. Raises ValueError for <nothing>.
    """
    links = {"Layer": "fastnn.Layer"}
    assert prose.markdown(text, ["x", "eps", "rate"], lambda word: links.get(word, "")) == (
        "w -= rate \\* m' / (s + eps).\n\n"
        '- `x`: C; None takes it from <autoref identifier="fastnn.Layer" optional>`Layer`</autoref>.\n\n'
        "- `eps`, `rate`: see `fit`.\n\n"
        "**Raises** ValueError for &lt;nothing&gt;."
    )


# Command line


def test_every_command_and_flag_is_on_the_page_of_the_command_line(site):
    import commands

    text = commands.on_page_markdown((DOCS / "commands.md").read_text(encoding="utf-8"))
    sections = dict(part.split("\n", 1) for part in text.split("\n## fastnn ")[1:])
    assert list(sections) == list(main.commands)
    for name, command in main.commands.items():
        flags = {flag for param in command.params for flag in param.opts if flag.startswith("--")} - {"--debug"}
        assert flags <= set(re.findall(r"--[a-z0-9-]+", sections[name])), name
        assert len(re.findall("^- `", sections[name], re.MULTILINE)) == len(flags), name


def test_help_becomes_markdown(site):
    import commands

    @click.command(cls=click.Command)
    @click.argument("file")
    @click.option("--size", type=click.Choice(["small", "large"]), default="small", show_default=True, help="Of *it*.")
    def resize(file, size):
        """Make FILE
        larger, unless --size.

        Or not."""

    with click.Context(resize, info_name="app resize") as context:
        parts = list(commands._command(resize, context))
    assert parts == [
        "## app resize\n\n```console\n$ app resize [OPTIONS] FILE\n```\n",
        "Make FILE larger, unless `--size`.\n\nOr not.\n",
        "- `--size [small | large]`: Of \\*it\\*. \\[default: small\\]\n",
    ]
