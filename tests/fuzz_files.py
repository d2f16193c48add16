"""Files from strangers, damaged and forged: each is refused in its own way, soon, in little memory.

    python tests/fuzz_files.py --minutes 10 --seed 1
    python tests/fuzz_files.py --parts models,weights

    dfc        files of the codec: BitstreamError, or the pixels of the file that was damaged
    pictures   what `compress` reads: ImageError, or pixels
    models     folders of exported models: ModelError, or a model whose coder works
    weights    files of PyTorch: WeightsError, or tensors

The work is done by a process of its own, whose end by a signal counts as a crash; one that takes
longer than `LIMIT` for a file is stopped, which counts as a hang. The files at fault are kept and
named. It ends with a summary: files tried, what became of them, the slowest, and the most memory
that one took.
"""

import argparse
import importlib
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, Protocol

# Seconds of a processor that a file may take, and of the clock after which its process is stopped.
SLOW, LIMIT = 10.0, 300.0
MUCH = 512  # MiB that reading one file of some kilobytes may take
STARTING = 1800.0  # seconds for a process to be ready, on a machine that is busy

# Module and class of each part.
PARTS = {
    "dfc": ("fuzz_dfc", "Files"),
    "pictures": ("fuzz_pictures", "Pictures"),
    "models": ("fuzz_models", "Models"),
    "weights": ("fuzz_weights", "Weights"),
}


class Part(Protocol):
    """One kind of file."""

    kinds: dict[str, set[str]]  # how files are changed, and what may become of such

    def case(self, kind: str, random_: random.Random) -> dict[str, bytes]:
        """Files by name."""

    def attempt(self, folder: Path) -> str:
        """What becomes of them; an exception is a fault."""


class Outcome(NamedTuple):
    """What became of one case."""

    result: str  # one of those that its kind allows, or what went wrong
    seconds: float  # of a processor
    memory: float  # MiB above what the process had before
    size: int  # bytes of the case


def tried(part: Part, kind: str, random_: random.Random, folder: Path) -> Outcome:
    """Writes a case into the folder, which is emptied first, and reads it."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():  # to remove the folder too takes longer than most cases
        path.unlink()
    files = part.case(kind, random_)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    before, started = _memory(reset=True), time.process_time()
    try:
        result = part.attempt(folder)
    except Exception as error:
        result = f"{type(error).__name__}: {error}"[:200]
    seconds = time.process_time() - started
    return Outcome(result, seconds, _memory() - before, sum(map(len, files.values())))


def _memory(reset: bool = False) -> float:
    """MiB that this process has at most had since it was last asked to forget."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    (most,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(most) / 1024


def part_of(name: str) -> Part:
    module, cls = PARTS[name]
    return getattr(importlib.import_module(module), cls)()


def work(names: list[str], seed: int, folder: Path, connection: Connection) -> None:
    """Tries cases of all kinds, for ever; says of each what it is and what became of it.

    Each part gets as much of the processor as any other: a model takes fifty times as long as a
    `.dfc` file, and taking turns there would be few of these.
    """
    random_ = random.Random(seed)
    parts = {name: part_of(name) for name in names}
    connection.send(("ready", "", None))
    used = dict.fromkeys(names, 0.0)
    while True:
        name = min(names, key=used.__getitem__)
        started = time.process_time()
        for kind, allowed in parts[name].kinds.items():
            connection.send((name, kind, None))
            outcome = tried(parts[name], kind, random_, folder)
            fault = outcome.result not in allowed
            if fault or outcome.seconds > SLOW or outcome.memory > MUCH:
                _keep(name, kind, outcome, folder)
            connection.send((name, kind, (outcome, fault)))
        used[name] += time.process_time() - started


def _keep(name: str, kind: str, outcome: Outcome, folder: Path) -> None:
    """Copies the case beside its folder, and says where."""
    kept = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder.parent))
    if folder.exists():
        shutil.copytree(folder, kept, dirs_exist_ok=True)
    told = f"{outcome.seconds:.1f} s, {outcome.memory:.0f} MiB"
    print(f"{name}, {kind}: {outcome.result} ({told}): {kept}", flush=True)


class Summary:
    """What became of all files so far."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.faults = self.crashes = self.hangs = self.slow = 0
        self.slowest = self.most = Outcome("", 0.0, 0.0, 0)

    def add(self, name: str, kind: str, outcome: Outcome, fault: bool) -> None:
        self.counts[name, kind, outcome.result.partition(":")[0]] += 1
        self.slowest = max(self.slowest, outcome, key=lambda o: o.seconds)
        self.most = max(self.most, outcome, key=lambda o: o.memory)
        self.slow += outcome.seconds > SLOW
        self.faults += fault

    @property
    def good(self) -> bool:
        wrong = self.faults + self.crashes + self.hangs + self.slow
        return not wrong and self.most.memory < MUCH

    def print(self) -> None:
        for (name, kind, result), count in sorted(self.counts.items()):
            print(f"{name:9s} {kind:19s} {result:20s} {count}")
        print(
            f"{sum(self.counts.values())} files; wrong outcomes {self.faults}, crashes"
            f" {self.crashes}, over {SLOW:.0f} s {self.slow + self.hangs}; slowest"
            f" {self.slowest.seconds:.2f} s; most memory {self.most.memory:.0f} MiB, for"
            f" {self.most.size} bytes"
        )


def supervise(names: list[str], seed: int, end: float, summary: Summary, folder: Path) -> None:
    """Runs one process until the end or its own; counts how it ended."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(names, seed, folder, theirs), daemon=True)
    process.start()
    theirs.close()
    last, limit = ("start", "", None), STARTING
    try:
        while time.monotonic() < end:
            if not ours.poll(limit):
                summary.hangs += 1
                _keep(*last[:2], Outcome("hangs", limit, 0.0, 0), folder)
                return
            name, kind, outcome = last = ours.recv()
            limit = LIMIT
            if outcome is not None:
                summary.add(name, kind, *outcome)
    except EOFError:
        process.join()
        summary.crashes += 1
        _keep(*last[:2], Outcome(f"ends with {process.exitcode}", 0.0, 0.0, 0), folder)
    finally:
        process.kill()
        process.join()


def main() -> int:
    """Tries files for some minutes and prints a summary; returns 1 if any was not as it must be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", default=",".join(PARTS))
    args = parser.parse_args()
    work_folder = Path(tempfile.mkdtemp(prefix="fuzz-files-"))
    summary, end = Summary(), time.monotonic() + 60 * args.minutes
    seed = args.seed
    while time.monotonic() < end:
        supervise(args.parts.split(","), seed, end, summary, work_folder / "case")
        seed += 1000
    summary.print()
    if summary.good:
        shutil.rmtree(work_folder)
    return int(not summary.good)


if __name__ == "__main__":
    sys.exit(main())
