"""`diffcomp compress`: pictures -> .dfc files."""

import argparse
import functools
import io
import logging
import sys
from collections.abc import Callable

import numpy as np

from diffcomp import loaded_codecs
from diffcomp.byte_count import parse_bytes
from diffcomp.coding.bitstream import MAX_PIXELS, SUFFIX
from diffcomp.coding.metadata import Metadata, attach_metadata, metadata_bytes
from diffcomp.coding.quality import (
    DEFAULT_QUALITY,
    MAX_EFFORT,
    MAX_QUALITY,
    MIN_QUALITY,
    quality_to_code,
)
from diffcomp.commands import file_jobs
from diffcomp.commands.terminal import say
from diffcomp.export.shipped_models import DEFAULT_MODEL
from diffcomp.files import atomic_file, color_conversion, image_file
from diffcomp.files.file_jobs import STANDARD, Direction, FileJob
from diffcomp.rate_search import Target, compress_to
from diffcomp.tiling import Progress
from diffcomp.usage import usage_errors

log = logging.getLogger(__name__)

LARGEST_PICTURE_FILE = 8 * MAX_PIXELS  # bytes; more than 16-bit samples of any picture take
DIRECTION = Direction(
    input_suffixes=image_file.READ_SUFFIXES,
    suffix=SUFFIX,
    is_output=lambda path: path.suffix.lower() == SUFFIX,
)

EXAMPLES = """\
  diffcomp compress photo.jpg                        -> photo.dfc
  diffcomp compress photo.png out.dfc --quality 3.5
  diffcomp compress photo.jpg --target-size 100k
  diffcomp compress photos/ -r -o coded/ --skip-existing --keep-going
"""


def add_parser(commands) -> None:  # noqa: ANN001
    """Adds the sub-command to argparse's sub-parsers."""
    command = file_jobs.add_command(commands, "compress", "pictures -> .dfc files", EXAMPLES)
    command.set_defaults(run=run)
    command.add_argument(
        "paths",
        nargs="+",
        metavar="FILE",
        help="pictures, folders of them, or - for standard input; the last of two is the output if"
        " it ends in .dfc or is -",
    )
    rate = command.add_mutually_exclusive_group()
    rate.add_argument(
        "--quality",
        type=float,
        metavar="Q",
        help=f"real number from {MIN_QUALITY:g} to {MAX_QUALITY:g} (default: {DEFAULT_QUALITY:g})",
    )
    rate.add_argument("--target-size", metavar="SIZE", help="bytes at most, e.g. 100k or 64KiB")
    rate.add_argument("--target-bpp", metavar="BPP", help="bits per pixel at most")
    rate.add_argument("--target-psnr", metavar="DB", help="least PSNR of what decompress gives")
    rate.add_argument("--target-lpips", metavar="D", help="largest LPIPS (AlexNet) of it")
    command.add_argument(
        "--effort",
        type=int,
        choices=range(MAX_EFFORT + 1),
        default=0,
        metavar="N",
        help=f"0 to {MAX_EFFORT}: fit the file to the very picture, for fewer bytes in more time"
        " (default: 0)",
    )
    command.add_argument(
        "--background", metavar="COLOR", help="flatten transparency onto it, e.g. white or #204060"
    )
    command.add_argument(
        "--keep-metadata", action="store_true", help="carry EXIF and XMP (default: left out)"
    )
    file_jobs.add_options(command, DEFAULT_MODEL)


def run(args: argparse.Namespace) -> None:
    """Compresses every input; raises what `terminal.FAILURES` lists."""
    with usage_errors():
        background = color_conversion.parse_color(args.background) if args.background else None
        target = _target(args)
        if args.quality is not None:
            quality_to_code(args.quality)
    jobs = file_jobs.planned(args, DIRECTION)
    coded = functools.partial(_coded, args, target)
    file_jobs.run_jobs(args, jobs, functools.partial(_compress, args, jobs, background, coded))


def _compress(
    args: argparse.Namespace,
    jobs: list[FileJob],
    background: tuple[int, int, int] | None,
    coded: Callable[[np.ndarray, Metadata, Progress | None], tuple[bytes, str]],
    job: FileJob,
) -> None:
    image = _read(args, job, background)
    log.info("%s is read", job.input)
    for note in image.notes:
        say(args, f"{job.input}: {note}")
    height, width = image.pixels.shape[:2]
    with (
        file_jobs.one_if_large(height * width),
        file_jobs.working_on(args, jobs, f"compressing {width} x {height}") as progress,
    ):
        kept = image.metadata if args.keep_metadata else Metadata()
        data, found = coded(image.pixels, kept, progress)
    if image.metadata and not kept:
        say(args, f"{job.input}: {image.metadata.kinds} left out; --keep-metadata carries it")
    if job.output == STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        atomic_file.write_bytes(job.output, data, args.force)
    log.info("%s is written", job.output)
    bpp = 8 * len(data) / (width * height)
    say(args, f"{job.output}: {len(data)} bytes, {bpp:.3f} bpp{found}")


def _target(args: argparse.Namespace) -> Target | None:
    """The target that was asked for; raises ValueError."""
    kinds = {"size": "bytes", "bpp": "bpp", "psnr": "psnr", "lpips": "lpips"}
    for option, kind in kinds.items():
        text = getattr(args, f"target_{option}")
        if text is None:
            continue
        if option == "size":
            value = parse_bytes(text)
        else:
            try:
                value = float(text)
            except ValueError:
                raise ValueError(f"--target-{option} is {text!r}; it must be a number.") from None
        try:
            return Target(kind, value)
        except ValueError as error:
            raise ValueError(f"--target-{option} is {text}: {error}") from None
    return None


def _coded(
    args: argparse.Namespace,
    target: Target | None,
    pixels: np.ndarray,
    metadata: Metadata,
    progress: Progress | None,
) -> tuple[bytes, str]:
    """The file's bytes, and what the search for a target found."""
    codec = loaded_codecs.codec_of(args.model or DEFAULT_MODEL)
    if target is None:
        data = codec.compress(pixels, args.quality, effort=args.effort, progress=progress)
        return attach_metadata(data, metadata), ""
    # The metadata is part of the file, and takes its share of a size.
    kept = metadata_bytes(metadata)
    value = target.value - {"bytes": kept, "bpp": 8 * kept * 3 / pixels.size}.get(target.kind, 0.0)
    if value <= 0:
        raise ValueError(f"the metadata alone takes {kept} bytes, more than the target.")
    found = compress_to(codec, pixels, Target(target.kind, value), args.effort)
    is_distance = target.kind in ("psnr", "lpips")
    measured = f", {target.kind} {found.value:.4g}" if is_distance else ""
    return attach_metadata(found.data, metadata), f", quality {found.quality:g}{measured}"


def _read(
    args: argparse.Namespace, job: FileJob, background: tuple[int, int, int] | None
) -> image_file.LoadedImage:
    if job.input != STANDARD:
        return image_file.read_image(job.input, background, args.max_pixels)
    data = atomic_file.read_standard_input(LARGEST_PICTURE_FILE)
    return image_file.decode_image(io.BytesIO(data), "-", background, args.max_pixels)
