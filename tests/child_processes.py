"""Programs that a test runs, alone or beside each other and watched together.

Beside each other, one that fails takes the others down with it, at once: processes of JAX that lost
one of theirs wait for it for minutes. What is raised then has all that each of them said.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# NPROC of programs with several virtual devices. XLA computes in as many threads as there are cores
# or devices, or as NPROC says. A sum over devices blocks the thread in which the convolution before
# it ended; once devices that wait hold all threads, the others never come. So there must be more.
XLA_THREADS = "32"
LIMIT = 480.0  # seconds, on a busy machine; below the time limit of a test in setup.cfg


def run_script(name: str, *args: str | Path, **environment: str) -> str:
    """Runs a script of this folder in a process of its own; returns what it prints."""
    done = _run(Path("tests", name), args, environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_launch(
    name: str, *args: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program of `launch/` in the project's folder, and says how it ended."""
    return _run(Path("launch", name), args, environment)


def _run(
    program: Path, args: Sequence[str | Path], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, str(ROOT / program), *map(str, args)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


class Children:
    """Started programs; each writes to files of its own, for a full pipe would stop it."""

    def __init__(
        self,
        folder: Path,
        commands: Sequence[Sequence[str]],
        environments: Sequence[Mapping[str, str]],
    ):
        self._end = time.monotonic() + LIMIT
        self._files = [(folder / f"{i}.out", folder / f"{i}.err") for i in range(len(commands))]
        self.processes: list[subprocess.Popen] = []
        for command, environment, (out, err) in zip(
            commands, environments, self._files, strict=True
        ):
            environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
            with out.open("w") as stdout, err.open("w") as stderr:
                self.processes.append(
                    subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr)
                )

    def stdout(self, i: int) -> str:
        return self._files[i][0].read_text()

    def stderr(self, i: int) -> str:
        return self._files[i][1].read_text()

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Raises AssertionError if a program fails before that, or the time is over."""
        while not reached():
            codes = [process.poll() for process in self.processes]
            assert not any(codes), self._report("a program failed")
            # One that is done, and did not reach what was waited for, never will.
            assert None in codes or reached(), self._report("all programs ended")
            assert time.monotonic() < self._end, self._report(f"not done within {LIMIT} s")
            time.sleep(0.05)

    def wait(self) -> None:
        """Until all have ended, all of them well."""
        self.wait_until(lambda: all(process.poll() == 0 for process in self.processes))

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def _report(self, what: str) -> str:
        codes = [process.poll() for process in self.processes]
        self.kill()
        said = "".join(
            f"\n--- {process.args}\nexit code before: {code}\n{self.stdout(i)}{self.stderr(i)}"
            for i, (process, code) in enumerate(zip(self.processes, codes, strict=True))
        )
        return f"{what}{said}"


@contextlib.contextmanager
def running(
    folder: Path, commands: Sequence[Sequence[str]], environments: Sequence[Mapping[str, str]]
) -> Iterator[Children]:
    """Starts programs, which write to `folder`, and leaves none of them behind.

    `environments` is what each program's has beside this one's, and the project on its path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    children = Children(folder, commands, environments)
    try:
        yield children
    finally:
        children.kill()


@contextlib.contextmanager
def reserved_address() -> Iterator[str]:
    """The address of a port for JAX's coordinator, which nobody else is given meanwhile.

    The socket is held but does not listen. JAX's server takes the same port all the same, as it
    sets SO_REUSEPORT too; to others, who ask for any free port, it counts as taken.
    """
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    with socket.socket(family) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"
