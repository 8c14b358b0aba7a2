"""The house's import rule: a module imports only from the rows above its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent

# From the foundation up. Modules of one row do not import each other.
ROWS = (
    ("kernels", "reference"),
    ("_typing", "errors", "_files", "_notes"),
    ("_checks", "_toml"),
    ("_threads", "_tables", "initializers", "schedules"),
    ("_backend", "_system"),
    ("layers",),
    ("_fusion", "losses", "metrics", "_optimizer", "augment"),
    ("optimizers", "plots"),
    ("_targets", "_network", "_summary", "callbacks", "_ahead"),
    ("_recorded",),
    ("_step", "_inference"),
    ("model", "_batches"),
    ("formats", "training", "lr_finder", "report"),
    ("datasets", "networks"),
    ("_data", "_sections", "prediction"),
    ("settings",),
    ("_folder", "recipes"),
    ("run",),
    ("_warmup", "bench", "tuning"),
    ("cli",),
    ("__main__",),
)
ROW = {unit: number for number, row in enumerate(ROWS) for unit in row}
ISOLATED = ("kernels", "reference")  # import nothing else of fastnn

# Methods that lean on a row below their own, and import it when they are called.
UPWARD = {("model", "training"), ("model", "formats")} | {
    (lower, "model") for lower in ("callbacks", "errors", "_recorded", "_step", "_inference")
}


def violations(package: Path) -> list[str]:
    """One line for each import that breaks the rule, for each module without a row."""
    found = []
    for path in sorted(package.rglob("*.py")):
        unit = path.relative_to(package).parts[0].removesuffix(".py")
        if unit == "__init__":
            continue  # the public names, loaded on first use
        if unit not in ROW:
            found.append(f"{unit}: has no row")
            continue
        for target, at_top in imported_units(path, package):
            if target == unit or (not at_top and (unit, target) in UPWARD):
                continue
            if target not in ROW or ROW[target] >= ROW[unit] or unit in ISOLATED:
                found.append(f"{path.relative_to(package)}: imports {target}")
    return found


def imported_units(path: Path, package: Path) -> Iterator[tuple[str, bool]]:
    """The parts of fastnn that a file imports when it runs, and whether it does so at its top."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node, at_top in statements(tree.body, at_top=True):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folder = path.relative_to(package.parent).parent.parts
            base = ".".join(folder[: len(folder) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == package.name and len(parts) > 1 and parts[1] in ROW:
                yield parts[1], at_top


def statements(body: list[ast.stmt], at_top: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """All statements below body, but for those that only a type checker sees."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from statements(node.orelse, at_top)
            continue
        yield node, at_top
        inside = at_top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for children in ("body", "orelse", "finalbody"):
            yield from statements(getattr(node, children, []), inside)
        for handler in getattr(node, "handlers", []):
            yield from statements(handler.body, inside)


def test_no_module_imports_from_a_row_below():
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "code", "expected"),
    [
        ("layers/bad.py", "from fastnn.model import Sequential", "layers/bad.py: imports model"),
        ("layers/bad.py", "from fastnn import cli", "layers/bad.py: imports cli"),
        ("layers/bad.py", "def f():\n    from ..training import fit", "layers/bad.py: imports training"),
        ("kernels/bad.py", "import fastnn.errors", "kernels/bad.py: imports errors"),
        ("reference/bad.py", "try:\n    from fastnn.kernels import x\nexcept ImportError: pass",
         "reference/bad.py: imports kernels"),
        ("losses.py", "from fastnn.metrics import Accuracy", "losses.py: imports metrics"),
        ("novel.py", "", "novel: has no row"),
    ],
)  # fmt: skip
def test_a_bad_module_is_found(tmp_path, file, code, expected):
    path = tmp_path / "fastnn" / file
    path.parent.mkdir(parents=True)
    path.write_text(code)
    assert violations(tmp_path / "fastnn") == [expected]


@pytest.mark.parametrize(
    "code", ["from fastnn.layers import Dense", "from fastnn import layers, __version__", "import numpy",
             "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fastnn.cli import main"],
)  # fmt: skip
def test_a_good_module_is_not_found(tmp_path, code):
    path = tmp_path / "fastnn" / "model.py"
    path.parent.mkdir(parents=True)
    path.write_text(code)
    assert violations(tmp_path / "fastnn") == []


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("from fastnn.cli import main; main(['--help'], standalone_mode=False)", ("numba", "numpy", "rich")),
        ("import fastnn.recipes", ("numba", "rich")),
        ("import fastnn; fastnn.datasets.load_digits()", ("numba", "pooch")),
    ],
)
def test_heavy_libraries_are_not_imported_before_they_are_needed(code, absent):
    at_exit = f"import atexit, sys; atexit.register(lambda: print(*(sys.modules.keys() & {set(absent)})))"
    run = subprocess.run([sys.executable, "-c", f"{at_exit}\n{code}"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "", f"{code}: imports {run.stdout}"
