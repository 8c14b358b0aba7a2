"""What `import fastnn` costs: it must not import Numba or any other library that only some users need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).parents[1]
HEAVY = ("numba", "llvmlite", "safetensors", "PIL", "click", "rich", "platformdirs", "pooch", "numpy")


def modules_after(code):
    script = f"import sys\n{code}\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_alone_loads_nothing():
    assert modules_after("import fastnn; fastnn.__version__; dir(fastnn)").isdisjoint(HEAVY)


def test_the_numpy_backend_needs_neither_numba_nor_files():
    code = (
        "import fastnn as fn, numpy as np\n"
        "model = fn.Sequential([fn.Dense(4, 3, activation='relu'), fn.Dense(3, 2)], (4,), backend='numpy')\n"
        "model.fit(np.ones((8, 4)), np.zeros(8, int), verbose=False)"
    )
    assert modules_after(code).isdisjoint({"numba", "llvmlite", "safetensors", "PIL", "click", "rich"})


def test_all_names_load_nothing_that_only_some_calls_need():
    some = {"numba", "llvmlite", "PIL", "platformdirs", "tomlkit", "secrets", "tempfile", "zipfile", "pickletools"}
    loaded = modules_after("from fastnn import *")
    assert loaded.isdisjoint(some)
    assert "safetensors" in loaded  # the names were loaded


def test_the_check_can_fail():
    assert "numba" in modules_after("import numba")


@pytest.mark.parametrize("name", fastnn.__all__)
def test_every_public_name_exists(name):
    assert getattr(fastnn, name) is not None
    assert name in dir(fastnn)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(fastnn.__file__).read_text())
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    names = [alias.name for node in typed.body for alias in node.names]
    assert sorted([*names, "__version__"]) == sorted(fastnn.__all__)


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'fastnn' has no attribute 'Dens'"):
        fastnn.Dens  # noqa: B018
