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
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from kill_checks import JOBS, Files, Job, files_below

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 300.0  # seconds that a command may take at most


def environment(cache: Path) -> dict[str, str]:
    """Of a command: programs of seconds are not compiled with care, and are kept."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "DIFFCOMP_CACHE": str(cache),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    }


def start(command: list[str], folder: Path, cache: Path) -> subprocess.Popen:
    """A command in `folder`, with all that it says in a file beside."""
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment(cache),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def killed(
    process: subprocess.Popen, delay: float, after_output: bool, folder: Path, job: Job
) -> bool:
    """Kills it after a time, or so long after its first new output; False if it ended before."""
    before, began = job.progress(folder), time.monotonic()
    while after_output and process.poll() is None and job.progress(folder) == before:
        time.sleep(0.005)
    end = time.monotonic() + delay
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
        if time.monotonic() - began > LIMIT:
            process.kill()
            raise AssertionError(f"{process.args} has not ended after {LIMIT} s")
    if process.poll() is not None:
        return False
    process.kill()
    process.wait()
    return True


def undisturbed(job: Job, folder: Path, cache: Path) -> tuple[Files, float, float]:
    """Files of a run that nobody kills; its seconds, and those since its first output."""
    for _ in range(2):  # the first also compiles
        job.begin(folder)
        began = first = time.monotonic()
        for command in job.commands:
            before = job.progress(folder)
            process = start(command, folder, cache)
            while process.poll() is None:
                time.sleep(0.005)
                if job.progress(folder) == before:
                    first = time.monotonic()
            log = (folder.parent / f"{folder.name}.log").read_text()
            assert process.returncode == 0, log
    ended = time.monotonic()
    commands = len(job.commands)
    return job.final(folder), (ended - began) / commands, ended - first


def rounds(job: Job, number: int, random_: random.Random, work: Path) -> Counter[str]:
    """Kills the job's commands so many times; raises AssertionError for anything not as it must."""
    cache, folder = work / "cache", work / job.name
    reference, seconds, working = undisturbed(job, folder, cache)
    counts: Counter[str] = Counter()
    job.begin(folder)
    done = 0  # commands of the job that have ended
    for i in range(number + 1):
        before = files_below(folder)
        process = start(job.commands[done], folder, cache)
        late = random_.random() < 0.5
        delay = random_.uniform(0, working if late else seconds)
        was_killed = killed(process, delay if i < number else LIMIT, late, folder, job)
        counts["killed"] += was_killed
        counts["temporary files left"] += job.check(folder, before, reference)
        if was_killed:
            found = files_below(folder)
            counts["killed within its work"] += found != before
            if job.is_done(folder):
                job.check_final(folder, reference)
                job.begin(folder)
                done = 0
            continue
        log = (folder.parent / f"{folder.name}.log").read_text()
        assert process.returncode == 0, log
        done += 1
        if done == len(job.commands):
            job.check_final(folder, reference)
            counts["runs completed"] += 1
            job.begin(folder)
            done = 0
    while done:  # what the last round, which nobody killed, left to do
        process = start(job.commands[done], folder, cache)
        assert process.wait() == 0
        done = (done + 1) % len(job.commands)
        if not done:
            job.check_final(folder, reference)
            counts["runs completed"] += 1
    return counts


def main() -> int:
    """Prints a line per job; returns 1, and leaves the folder, at the first fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="kill-jobs-"))
    for name in args.jobs.split(","):
        began = time.monotonic()
        try:
            counts = rounds(JOBS[name](), args.rounds, random.Random(args.seed), work)
        except AssertionError as error:
            print(f"{name}: {error}\nsee {work}", file=sys.stderr)
            return 1
        told = ", ".join(f"{what} {count}" for what, count in counts.items())
        print(f"{name}: {told}; {time.monotonic() - began:.0f} s", flush=True)
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
