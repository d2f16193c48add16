"""Start-up: python launch/benchmark_startup.py --against=COMMIT_OR_FOLDER [--against_python=PATH]

Whole processes, `diffcomp compress` and `decompress` of one picture, of this checkout and of
another, in turns: once with empty caches, then --rounds times with what that run left in them.
Prints seconds that pass, seconds of processors and the peak of memory, each the least of all
rounds, and how many times the other's is this one's; then whether both wrote the same bytes.

The picture is that of `make demo`, resized to 768x512 pixels, or --image as it is. Each side has
caches of its own, for JAX and for Numba, in a temporary folder.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from absl import app, flags
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SIZE = (768, 512)
DIRECTIONS = ("compress", "decompress")

_AGAINST = flags.DEFINE_string("against", None, "Commit of this repository, or a folder.")
_PYTHON = flags.DEFINE_string(
    "against_python", sys.executable, "Interpreter with what the other checkout needs."
)
_IMAGE = flags.DEFINE_string("image", None, "Picture (default: make demo's, at 768x512 pixels).")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Warm rounds, of which the least counts.", 1)
flags.mark_flag_as_required("against")


class Cost(NamedTuple):
    """What one process took; of a list of them, the least of each is what counts."""

    seconds: float
    cpu_seconds: float  # of its children too
    megabytes: float  # the peak, in units of 10**6 bytes


class Side(NamedTuple):
    """A checkout, its interpreter, and a folder for what it writes, caches included."""

    name: str
    python: str
    checkout: Path
    folder: Path

    def run(self, direction: str, source: Path, target: Path) -> Cost:
        """Runs one command; raises CalledProcessError if it fails."""
        environment = os.environ | {
            "PYTHONPATH": str(self.checkout),
            "DIFFCOMP_CACHE": str(self.folder / "programs"),
            "NUMBA_CACHE_DIR": str(self.folder / "numba"),
        }
        command = [self.python, "-m", "diffcomp", direction, source, target, "--force", "--quiet"]
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=self.folder, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        kilobyte = 1 if sys.platform == "darwin" else 1024
        return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * kilobyte / 1e6)


@contextmanager
def checkout_of(against: str) -> Iterator[Path]:
    """The folder that `against` is, or one with the files of that commit."""
    if Path(against).is_dir():
        yield Path(against).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", against, "diffcomp"], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


def write_picture(path: Path) -> None:
    """The demo's photograph at SIZE, as PNG."""
    import skimage.data

    with Image.open(Path(skimage.data.__file__).parent / "astronaut.png") as image:
        image.resize(SIZE, Image.Resampling.LANCZOS).save(path)


def measure(sides: list[Side], picture: Path, rounds: int) -> list[list[dict[str, Cost]]]:
    """Per side and round, the costs of each direction; each round lets the sides take turns."""
    costs: list[list[dict[str, Cost]]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, costs, strict=True):
            coded, decoded = side.folder / "picture.dfc", side.folder / "picture.png"
            compressed = side.run("compress", picture, coded)
            found.append(
                {"compress": compressed, "decompress": side.run("decompress", coded, decoded)}
            )
    return costs


def least(rounds: list[dict[str, Cost]], direction: str) -> Cost:
    return Cost(*map(min, zip(*(costs[direction] for costs in rounds), strict=True)))


def report(title: str, this: list[dict[str, Cost]], other: list[dict[str, Cost]]) -> None:
    """Prints a row for each direction and kind of cost, and for the seconds of both together."""
    pairs = {name: (least(this, name), least(other, name)) for name in DIRECTIONS}
    rows = {
        f"{name}, {field}": (getattr(a, field), getattr(b, field))
        for name, (a, b) in pairs.items()
        for field in Cost._fields
    }
    for field in ("seconds", "cpu_seconds"):
        sums = zip(*(rows[f"{name}, {field}"] for name in DIRECTIONS), strict=True)
        rows[f"both, {field}"] = tuple(map(sum, sums))
    for name, (a, b) in rows.items():
        print(f"{f'{title}, {name}':32s}{a:10.2f}{b:10.2f}{b / a:10.2f}", flush=True)


def compare(sides: list[Side]) -> None:
    """Prints whether both sides wrote the same file and the same pixels."""
    first, second = ((side.folder / "picture.dfc").read_bytes() for side in sides)
    verdict = "equal" if first == second else "different"
    print(f"files: {verdict} bytes, {len(first)} and {len(second)}")
    first, second = (Image.open(side.folder / "picture.png").tobytes() for side in sides)
    print(f"pictures: {'equal' if first == second else 'different'} pixels")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {' '.join(argv[1:])}")
    with tempfile.TemporaryDirectory() as temporary, checkout_of(_AGAINST.value) as other:
        sides = []
        for name, python, checkout in (
            ("this", sys.executable, ROOT),
            ("other", _PYTHON.value, other),
        ):
            folder = Path(temporary) / name
            folder.mkdir()
            # What pip does at an installation: else a first run would compile Python's own code.
            subprocess.run([python, "-m", "compileall", "-q", checkout / "diffcomp"], check=True)
            sides.append(Side(name, str(Path(python).absolute()), checkout, folder))
        picture = Path(_IMAGE.value).resolve() if _IMAGE.value else Path(temporary) / "picture.png"
        if not _IMAGE.value:
            write_picture(picture)
        print(f"{'':32s}{'this':>10s}{'other':>10s}{'ratio':>10s}")
        report("first", *measure(sides, picture, 1))
        report("warm", *measure(sides, picture, _ROUNDS.value))
        compare(sides)
        print(f"{_ROUNDS.value} warm rounds, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    app.run(main)
