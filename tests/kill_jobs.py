"""Kills work at random times, again and again, and looks at what lies there after each kill.

    python tests/kill_jobs.py --rounds 200 --jobs folder
    python tests/kill_jobs.py --rounds 20 --jobs folder,replace,evaluate,import,train --seed 1

A round starts a command, sends it SIGKILL at a random time and looks: what was there before must be
there still, what is new must be whole, byte for byte what an undisturbed run writes. A command that
ends before its kill must have completed all of it, with nothing left over; then a new folder is
begun. Half of the kills come at a time of the whole run, half after the first new output: a command
imports for longer than it works. The last round of each job is never killed.

    folder     compress a folder with --skip-existing, and decompress what is there
    replace    compress it with --force onto other files
    evaluate   a model and two other codecs: rows, streams, tables
    import     import-cdc: a model's folder
    train      the smoke configuration, a checkpoint at each step: all weights and the optimiser's
               state in the end
"""

import argparse
import importlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import BinaryIO, Protocol

from kill_checks import JOBS, Files, Job, files_below

from diffcomp import cli

ROOT = Path(__file__).resolve().parents[1]
# What commands import, which takes longer than their work.
PRELOADED = ("diffcomp.codec", "diffcomp.coding.numba_range_coder", "PIL.PngImagePlugin")
LIMIT = 900.0  # seconds that a command may take at most


def set_environment(cache: Path) -> None:
    """Of commands: programs of seconds are not compiled with care, and are kept."""
    os.environ |= {
        "PYTHONPATH": str(ROOT),
        "DIFFCOMP_CACHE": str(cache),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    }


def preload() -> None:
    """Imports what a forked command would import."""
    for module in PRELOADED:
        importlib.import_module(module)


class Process(Protocol):
    """What is killed; a `subprocess.Popen` is one."""

    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self) -> int: ...
    def kill(self) -> None: ...


class Forked:
    """A command of `diffcomp` in a fork of this process, which has imported all that it needs.

    Nothing runs in this process that a fork would lack: its threads of JAX start with the first
    computation.
    """

    def __init__(self, arguments: list[str], folder: Path, log: BinaryIO):
        self.returncode: int | None = None
        self._id = os.fork()
        if self._id == 0:
            code = 1
            try:
                os.setsid()
                os.chdir(folder)
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                code = cli.main(arguments)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)

    def poll(self) -> int | None:
        return self._ended(os.WNOHANG)

    def wait(self) -> int:
        code = self._ended(0)
        assert code is not None
        return code

    def kill(self) -> None:
        os.kill(self._id, signal.SIGKILL)

    def _ended(self, options: int) -> int | None:
        if self.returncode is None:
            found, status = os.waitpid(self._id, options)
            if found:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def start(command: list[str], folder: Path) -> Process:
    """A command in `folder`, with all that it says in a file beside."""
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        if command[0] == "diffcomp":
            return Forked(command[1:], folder, log)
        command = [sys.executable, *command]
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def killed(process: Process, delay: float, after_output: bool, folder: Path, job: Job) -> bool:
    """Kills it after a time, or so long after its first new output; False if it ended before."""
    before, began = job.progress(folder), time.monotonic()
    while after_output and process.poll() is None and job.progress(folder) == before:
        time.sleep(0.02)
    end = time.monotonic() + delay
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
        if time.monotonic() - began > LIMIT:
            process.kill()
            raise AssertionError(f"the command has not ended after {LIMIT} s")
    if process.poll() is not None:
        return False
    process.kill()
    process.wait()
    return True


def undisturbed(job: Job, folder: Path) -> tuple[Files, float, float]:
    """Files of a run that nobody kills; its seconds, and those since its first output."""
    for _ in range(2):  # the first also compiles
        job.begin(folder)
        began = first = time.monotonic()
        for command in job.commands:
            before = job.progress(folder)
            process = start(command, folder)
            while process.poll() is None:
                time.sleep(0.005)
                if job.progress(folder) == before:
                    first = time.monotonic()
            log = (folder.parent / f"{folder.name}.log").read_text()
            assert process.returncode == 0, log
    ended = time.monotonic()
    commands = len(job.commands)
    return job.final(folder), (ended - began) / commands, ended - first


def rounds(job: Job, number: int, end: float, random_: random.Random, work: Path) -> Counter[str]:
    """Kills the job's commands so many times, or until the clock says `end`.

    Raises AssertionError for anything not as it must be.
    """
    folder = work / job.name
    reference, seconds, working = undisturbed(job, folder)
    counts: Counter[str] = Counter()
    job.begin(folder)
    done = 0  # commands of the job that have ended
    for i in itertools.count():
        last = i >= number or time.monotonic() > end
        before = files_below(folder)
        process = start(job.commands[done], folder)
        late = random_.random() < 0.5
        delay = LIMIT if last else random_.uniform(0, working if late else seconds)
        if killed(process, delay, late, folder, job):
            counts["killed"] += 1
            counts["killed within its work"] += files_below(folder) != before
        else:
            assert process.returncode == 0, (folder.parent / f"{folder.name}.log").read_text()
            done += 1
        counts["temporary files left"] += job.check(folder, before, reference)
        if done == len(job.commands) or job.is_done(folder):
            job.check_final(folder, reference)
            counts["runs completed"] += 1
            if last:
                return counts
            job.begin(folder)
            done = 0


def main() -> int:
    """Prints a line per job; returns 1, and leaves the folder, at the first fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=1e9, help="at most, of each job")
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="kill-jobs-"))
    set_environment(work / "cache")
    preload()
    for name in args.jobs.split(","):
        began = time.monotonic()
        try:
            end = began + 60 * args.minutes
            counts = rounds(JOBS[name](), args.rounds, end, random.Random(args.seed), work)
        except AssertionError as error:
            print(f"{name}: {error}\nsee {work}", file=sys.stderr)
            return 1
        told = ", ".join(f"{what} {count}" for what, count in counts.items())
        print(f"{name}: {told}; {time.monotonic() - began:.0f} s", flush=True)
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
