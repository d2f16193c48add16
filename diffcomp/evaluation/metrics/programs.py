"""Programs on the PATH: which build they are, and what they print."""

import shutil
import subprocess
import zlib
from pathlib import Path


def find_program(name: str, wanted_by: str, where: str) -> Path:
    """The program's file; FileNotFoundError says who wants it and where to get it."""
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{wanted_by} needs the program {name} on the PATH: {where}")
    return Path(found)


def named_with_crc(file: Path) -> str:
    """A program's name and the CRC-32 of its file: few of them tell their version alike."""
    return f"{file.name} {zlib.crc32(file.read_bytes()):08x}"


def run_program(*command: object) -> str:
    """What the program prints; raises RuntimeError with its last line if it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise RuntimeError(f"{command[0]} failed with exit code {done.returncode}: {lines[-1]}")
    return done.stdout
