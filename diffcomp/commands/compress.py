"""`diffcomp compress`: pictures -> .dfc files."""

import argparse
import functools
import io
import logging
import sys

from diffcomp.coding.bitstream import MAX_PIXELS
from diffcomp.coding.quality import DEFAULT_QUALITY, MAX_QUALITY, MIN_QUALITY
from diffcomp.commands import file_jobs
from diffcomp.commands.terminal import say
from diffcomp.files import atomic_file, color_conversion, image_file
from diffcomp.files.file_jobs import STANDARD, Direction, FileJob

log = logging.getLogger(__name__)

SUFFIX = ".dfc"
LARGEST_PICTURE_FILE = 8 * MAX_PIXELS  # bytes; more than 16-bit samples of any picture take
DIRECTION = Direction(
    input_suffixes=image_file.READ_SUFFIXES,
    suffix=SUFFIX,
    is_output=lambda path: path.suffix.lower() == SUFFIX,
)


def add_parser(commands) -> None:  # noqa: ANN001
    """Adds the sub-command to argparse's sub-parsers."""
    command = commands.add_parser("compress", help="image -> .dfc", description=__doc__)
    command.set_defaults(run=run)
    command.add_argument(
        "paths",
        nargs="+",
        metavar="FILE",
        help="pictures, folders of them, or - for standard input; the last of two is the output if"
        " it ends in .dfc or is -",
    )
    command.add_argument(
        "--quality",
        type=float,
        metavar="Q",
        help=f"real number from {MIN_QUALITY:g} to {MAX_QUALITY:g} (default: {DEFAULT_QUALITY:g})",
    )
    command.add_argument(
        "--background", metavar="COLOR", help="flatten transparency onto it, e.g. white or #204060"
    )
    file_jobs.add_options(command)


def run(args: argparse.Namespace) -> None:
    """Compresses every input; raises what `terminal.FAILURES` lists."""
    jobs = file_jobs.planned(args, DIRECTION)
    background = color_conversion.parse_color(args.background) if args.background else None
    file_jobs.run_jobs(args, jobs, functools.partial(_compress, args, jobs, background))


def _compress(
    args: argparse.Namespace,
    jobs: list[FileJob],
    background: tuple[int, int, int] | None,
    job: FileJob,
) -> None:
    image = _read(job, background)
    log.info("%s is read", job.input)
    for note in image.notes:
        say(args, f"{job.input}: {note}")
    height, width = image.pixels.shape[:2]
    with (
        file_jobs.one_if_large(height * width),
        file_jobs.job_spinner(args, jobs, f"compressing {width} x {height}"),
    ):
        data = file_jobs.loaded_codec(args.model).compress(image.pixels, args.quality)
    if job.output == STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        atomic_file.write_bytes(job.output, data, args.force)
    log.info("%s is written", job.output)
    bpp = 8 * len(data) / (width * height)
    say(args, f"{job.output}: {len(data)} bytes, {bpp:.3f} bpp")


def _read(job: FileJob, background: tuple[int, int, int] | None) -> image_file.LoadedImage:
    if job.input != STANDARD:
        return image_file.read_image(job.input, background)
    data = atomic_file.read_standard_input(LARGEST_PICTURE_FILE)
    return image_file.decode_image(io.BytesIO(data), "-", background)
