"""`diffcomp decompress`: .dfc files -> pictures."""

import argparse
import functools
import logging
import sys

from diffcomp import loaded_codecs
from diffcomp.coding.bitstream import LARGEST_FILE, SUFFIX
from diffcomp.coding.file_info import file_info
from diffcomp.coding.metadata import read_metadata
from diffcomp.commands import file_jobs
from diffcomp.commands.terminal import named, say
from diffcomp.decode_settings import COMPUTE_DTYPES, MAX_STEPS, DecodeSettings
from diffcomp.export.shipped_models import writer_of
from diffcomp.files import atomic_file, image_output
from diffcomp.files.file_jobs import STANDARD, Direction, FileJob
from diffcomp.usage import usage_errors

log = logging.getLogger(__name__)

EXAMPLES = """\
  diffcomp decompress photo.dfc                      -> photo.png
  diffcomp decompress photo.dfc out.webp --realism 0.5
  diffcomp decompress coded/ -r -o photos/ --suffix .jpg
"""


def add_parser(commands) -> None:  # noqa: ANN001
    """Adds the sub-command to argparse's sub-parsers."""
    command = file_jobs.add_command(commands, "decompress", ".dfc files -> pictures", EXAMPLES)
    command.set_defaults(run=run)
    command.add_argument(
        "paths",
        nargs="+",
        metavar="FILE",
        help=".dfc files, folders of them, or - for standard input; the last of two is the output"
        " if it ends otherwise or is -",
    )
    command.add_argument(
        "--suffix",
        default=".png",
        metavar="EXT",
        help=f"of outputs that are not named: {' '.join(image_output.WRITE_SUFFIXES)}"
        " (default: %(default)s)",
    )
    add = command.add_argument
    text = f"calls of the score network, 1 to {MAX_STEPS} (default: the model's)"
    add("--steps", type=int, metavar="N", help=text)
    add("--gamma", type=float, metavar="G", help="starting noise, 0 to 1 (default: the model's)")
    add("--eta", type=float, metavar="E", help="noise in each step, 0 to 1 (default: 0)")
    text = "from 0, least error, to 1, a natural look (default: 1)"
    add("--realism", type=float, metavar="R", help=text)
    add("--seed", type=int, metavar="S", help="of the noise, from 0 (default: 0)")
    command.add_argument(
        "--compute-dtype",
        choices=COMPUTE_DTYPES,
        help="of the networks; bfloat16 is for accelerators (default: float32)",
    )
    file_jobs.add_options(command, "the shipped one that wrote the file")


def run(args: argparse.Namespace) -> None:
    """Decompresses every input; raises what `terminal.FAILURES` lists."""
    suffix = args.suffix if args.suffix.startswith(".") else f".{args.suffix}"
    settings = DecodeSettings(
        args.steps, args.gamma, args.eta, args.realism, args.seed, args.compute_dtype
    )
    with usage_errors():
        image_output.image_format(f"--suffix {suffix}")
        settings.checked()
    direction = Direction(
        input_suffixes=frozenset({SUFFIX}),
        suffix=suffix,
        is_output=lambda path: path.suffix.lower() != SUFFIX and not path.is_dir(),
    )
    jobs = file_jobs.planned(args, direction)
    for job in jobs:
        if job.output != STANDARD:
            with usage_errors():
                image_output.image_format(job.output)
    file_jobs.run_jobs(args, jobs, functools.partial(_decompress, args, jobs, settings, suffix))


def _decompress(
    args: argparse.Namespace,
    jobs: list[FileJob],
    settings: DecodeSettings,
    suffix: str,
    job: FileJob,
) -> None:
    data = _read(job)
    to_standard = job.output == STANDARD
    with named(job.input):
        info = file_info(data)
        model = args.model or writer_of(info.fingerprint)
        with (
            file_jobs.one_if_large(info.height * info.width),
            file_jobs.working_on(args, jobs, f"decompressing {info.width} x {info.height}") as told,
        ):
            pixels = loaded_codecs.codec_of(model).decode(
                data, settings, max_pixels=args.max_pixels, progress=told
            )
        metadata = read_metadata(data) if info.metadata_bits else None
    if metadata and not image_output.holds_metadata(f"x{suffix}" if to_standard else job.output):
        say(args, f"{job.input}: {metadata.kinds} left out; the format cannot hold it")
        metadata = None
    if to_standard:
        sys.stdout.buffer.write(image_output.encode_image(pixels, suffix, metadata))
        sys.stdout.buffer.flush()
    else:
        image_output.write_image(job.output, pixels, args.force, metadata)
    log.info("%s is written", job.output)
    say(args, f"{job.output}: {info.width} x {info.height}")


def _read(job: FileJob) -> bytes:
    """The bytes of a job's input, a .dfc file; raises FileError."""
    if job.input == STANDARD:
        return atomic_file.read_standard_input(LARGEST_FILE)
    return atomic_file.read_bytes(job.input, LARGEST_FILE)
