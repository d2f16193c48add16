"""Which file becomes which: the inputs and outputs of a command line, settled before any work.

A photograph is never lost: what stands on a command line is an input, unless it is the last of two
and cannot be one by its name, and no input is ever an output.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from diffcomp.files.atomic_file import FileError, errors_name

STANDARD = Path("-")  # standard input, or standard output


class FileJob(NamedTuple):
    input: Path
    output: Path


@dataclass(frozen=True)
class Direction:
    """What a command reads and what it writes."""

    input_suffixes: frozenset[str]  # of files that are taken from a folder, in lower case
    suffix: str  # of outputs that are not named
    is_output: Callable[[Path], bool]  # whether a path can be no input, by its name


class Plan(NamedTuple):
    jobs: list[FileJob]
    left_out: int  # files of folders that are of another kind, by their suffix


def plan_jobs(
    paths: Sequence[str],
    direction: Direction,
    output_dir: str | None = None,
    recursive: bool = False,
) -> Plan:
    """The jobs of a command that takes INPUT [OUTPUT] or INPUT INPUT ....

    Args:
      paths: as they stand on the command line, one or more: files, folders, `-`.
      direction: what is read and written.
      output_dir: folder of the outputs, in which folders keep their structure; None: each beside
        its input. With it all paths are inputs.
      recursive: take the sub-folders of folders too. Hidden files and folders are passed over.

    Raises:
      FileError: an output is one of the inputs, by path, link or inode; two inputs have one output;
        a folder holds nothing to take; `-` among several inputs or without a name for its output.
    """
    inputs = [Path(path) for path in paths]
    if len(inputs) == 2 and not output_dir and (paths[1] == "-" or direction.is_output(inputs[1])):
        if inputs[0].is_dir():
            raise FileError(f"{inputs[0]}: is a folder; name the folder of outputs by --output-dir")
        jobs, left_out = [FileJob(*inputs)], 0
    elif STANDARD in inputs:
        if len(inputs) > 1 or output_dir:
            raise FileError("-: standard input is the only input, and has no name to make another")
        jobs, left_out = [FileJob(STANDARD, STANDARD)], 0
    else:
        jobs, left_out = _named_jobs(inputs, direction, output_dir, recursive)
    _check_distinct(jobs)
    return Plan(jobs, left_out)


def _named_jobs(
    inputs: Sequence[Path], direction: Direction, output_dir: str | None, recursive: bool
) -> tuple[list[FileJob], int]:
    jobs, left_out = [], 0
    for path in inputs:
        if not path.is_dir():
            jobs.append(FileJob(path, _output(path, path.parent, direction.suffix, output_dir)))
            continue
        files = list(_files(path, recursive))
        taken = [file for file in files if file.suffix.lower() in direction.input_suffixes]
        if not taken:
            known = " ".join(sorted(direction.input_suffixes))
            raise FileError(f"{path}: holds no file that ends in one of {known}")
        left_out += len(files) - len(taken)
        jobs += [FileJob(file, _output(file, path, direction.suffix, output_dir)) for file in taken]
    return jobs, left_out


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    """Every file in the folder that is not hidden, in the order of names."""
    with errors_name(folder):
        entries = sorted(folder.iterdir())
    for path in entries:
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif recursive and path.is_dir() and not path.is_symlink():
            yield from _files(path, recursive)


def _output(path: Path, root: Path, suffix: str, output_dir: str | None) -> Path:
    output = path.with_suffix(suffix)
    return Path(output_dir) / output.relative_to(root) if output_dir else output


def _check_distinct(jobs: Sequence[FileJob]) -> None:
    """Raises FileError unless every output is a file of its own and none is an input."""
    inputs = {_identity(job.input): job.input for job in jobs if job.input != STANDARD}
    outputs: dict[object, FileJob] = {}
    for job in jobs:
        if job.output == STANDARD:
            continue
        identity = _identity(job.output)
        if identity in inputs:
            raise FileError(
                f"{job.output}: is the input {inputs[identity]}; an input is never replaced"
            )
        if identity in outputs:
            raise FileError(
                f"{job.output}: would be written from {outputs[identity].input} and from"
                f" {job.input}; name them apart, or compress one at a time"
            )
        outputs[identity] = job


def _identity(path: Path) -> object:
    """Equal for two paths of one file: its device and inode, or its resolved path if absent."""
    try:
        status = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return (status.st_dev, status.st_ino)
