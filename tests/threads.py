"""Same bits for any number of threads: a test module's `threaded_outputs()` runs in a process of its own.

python tests/threads.py MODULE     prints one digest of all outputs per thread count
"""

import hashlib
import importlib
import os
import subprocess
import sys
from pathlib import Path

COUNTS = (1, 2, 4)


def digests(module: str) -> list[str]:
    """The digests of `module.threaded_outputs()` for each of COUNTS, from a process whose pool has four threads."""
    folder = Path(__file__).parent
    path = os.pathsep.join([str(folder.parent), str(folder), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"NUMBA_NUM_THREADS": str(max(COUNTS)), "PYTHONPATH": path}
    command = [sys.executable, __file__, module]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def _main(module: str) -> None:
    import fastnn

    for count in COUNTS:
        fastnn.set_num_threads(count)
        digest = hashlib.sha256()
        for array in importlib.import_module(module).threaded_outputs():
            digest.update(array.tobytes())
        print(digest.hexdigest())


if __name__ == "__main__":
    _main(sys.argv[1])
