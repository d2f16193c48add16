"""Which file becomes which: the inputs and outputs of a command line, settled before any work.

A photograph is never lost: what stands on a command line is an input, unless it is the last of two
and cannot be one by its name, and no input is ever an output.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from diffcomp.files.atomic_file import FileError


class FileJob(NamedTuple):
    input: Path
    output: Path


def plan_jobs(
    paths: Sequence[str],
    suffix: str,
    is_output: Callable[[Path], bool],
    output_dir: str | None = None,
) -> list[FileJob]:
    """The jobs of a command that takes INPUT [OUTPUT] or INPUT INPUT ....

    Args:
      paths: as they stand on the command line, one or more.
      suffix: of outputs that are not named: beside the input, or in `output_dir`.
      is_output: whether the last of two paths is the other's output; its name decides.
      output_dir: their folder. With it all paths are inputs.

    Raises:
      FileError: an output is one of the inputs, by path, link or inode; two inputs have one output.
    """
    inputs = [Path(path) for path in paths]
    if len(inputs) == 2 and not output_dir and is_output(inputs[1]):
        jobs = [FileJob(*inputs)]
    else:
        jobs = [FileJob(path, _beside(path, suffix, output_dir)) for path in inputs]
    _check_distinct(jobs)
    return jobs


def _beside(path: Path, suffix: str, output_dir: str | None) -> Path:
    output = path.with_suffix(suffix)
    return Path(output_dir) / output.name if output_dir else output


def _check_distinct(jobs: Sequence[FileJob]) -> None:
    """Raises FileError unless every output is a file of its own and none is an input."""
    inputs = {_identity(job.input): job.input for job in jobs}
    outputs: dict[object, FileJob] = {}
    for job in jobs:
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
