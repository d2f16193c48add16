"""Writes tests/golden/stacks/NAME/: a checkpoint of these libraries, a hash of their export.

Not run by the tests. Called in each of the environments that the tests run in:

    .venv/bin/python tests/make_stack_golden.py newest
    .venv-tfc/bin/python tests/make_stack_golden.py oldest
"""

import json
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import golden_stacks
from small_states import save

PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "tensorstore", "numpy")


def main(name: str) -> None:
    folder = golden_stacks.FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    save(folder, golden_stacks.POSITION)
    made_by = {package: version(package) for package in PACKAGES}
    with tempfile.TemporaryDirectory() as temporary:
        sha256 = golden_stacks.export_sha256(Path(temporary) / "model")
    text = json.dumps({"made_by": made_by, "export_sha256": sha256}, indent=1)
    (folder / "stack.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
