"""The command `diffcomp`: compress, decompress, info, import-cdc, evaluate.

Errors are one line and exit code 1.
"""

import argparse
import contextlib
import functools
import gc
import logging
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from diffcomp import __version__
from diffcomp.coding.bitstream import MAX_PIXELS, BitstreamError
from diffcomp.coding.file_info import file_info
from diffcomp.coding.quality import DEFAULT_QUALITY, MAX_QUALITY, MIN_QUALITY
from diffcomp.decode_settings import COMPUTE_DTYPES, DecodeSettings
from diffcomp.export.shipped_models import DEFAULT_MODEL, model_names
from diffcomp.files import atomic_file, color_conversion, image_file
from diffcomp.files.atomic_file import FileError
from diffcomp.files.file_jobs import FileJob, plan_jobs

log = logging.getLogger(__name__)

# What a command may end with, as one line; anything else is a fault of the program.
FAILURES = (FileError, BitstreamError, ValueError, OSError, ImportError, MemoryError)

SUFFIX = ".dfc"
LARGEST_FILE = 4 * MAX_PIXELS  # bytes; more than any image that we write takes


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code (0 done, 1 failed, 2 wrong usage)."""
    args = _parser().parse_args(argv)
    logging.getLogger("jax").setLevel(logging.ERROR)
    if getattr(args, "verbose", False):
        # What took how long: milliseconds since the start of the program, roughly.
        logging.basicConfig(format="%(relativeCreated)6.0f ms  %(message)s")
        logging.getLogger("diffcomp").setLevel(logging.INFO)
    try:
        args.run(args)
    except FAILURES as error:
        _print_error(error)
        return 1
    except KeyboardInterrupt:
        print("diffcomp: interrupted", file=sys.stderr)
        return 130
    return 0


def compress(args: argparse.Namespace) -> None:
    """Image files -> .dfc files."""
    jobs = plan_jobs(args.paths, SUFFIX, _is_coded, args.output_dir)
    background = color_conversion.parse_color(args.background) if args.background else None
    _run_jobs(args, jobs, functools.partial(_compress_file, args, background))


def _compress_file(
    args: argparse.Namespace, background: tuple[int, int, int] | None, job: FileJob
) -> None:
    image = image_file.read_image(job.input, background)
    log.info("%s is read", job.input)
    for note in image.notes:
        _say(args, f"{job.input}: {note}")
    height, width = image.pixels.shape[:2]
    with _progress(args, f"compressing {width} x {height}"):
        data = _codec(args.model).compress(image.pixels, args.quality)
    atomic_file.write_bytes(job.output, data, args.force)
    log.info("%s is written", job.output)
    bpp = 8 * len(data) / (width * height)
    _say(args, f"{job.output}: {len(data)} bytes, {bpp:.3f} bpp")


def decompress(args: argparse.Namespace) -> None:
    """.dfc files -> image files."""
    jobs = plan_jobs(args.paths, ".png", lambda last: not _is_coded(last), args.output_dir)
    for job in jobs:
        image_file.image_format(job.output)
    settings = DecodeSettings(
        args.steps, args.gamma, args.eta, args.realism, args.seed, args.compute_dtype
    )
    settings.checked()
    _run_jobs(args, jobs, functools.partial(_decompress_file, args, settings))


def _decompress_file(args: argparse.Namespace, settings: DecodeSettings, job: FileJob) -> None:
    data = atomic_file.read_bytes(job.input, LARGEST_FILE)
    with _named(job.input):
        info = file_info(data)
        with _progress(args, f"decompressing {info.width} x {info.height}"):
            pixels = _codec(args.model).decode(data, settings)
    image_file.write_image(job.output, pixels, args.force)
    log.info("%s is written", job.output)
    _say(args, f"{job.output}: {info.width} x {info.height}")


def _is_coded(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX


def _run_jobs(
    args: argparse.Namespace, jobs: list[FileJob], run: Callable[[FileJob], None]
) -> None:
    """Each job in turn; the first that fails ends the command, unless --keep-going."""
    if args.output_dir:
        with atomic_file.errors_name(args.output_dir):
            Path(args.output_dir).mkdir(parents=True, exist_ok=True)
    if not args.keep_going:
        for job in jobs:
            with atomic_file.errors_name(job.input):
                job.input.stat()
            atomic_file.check_target(job.output, args.force)
    failed = 0
    for job in jobs:
        try:
            atomic_file.check_target(job.output, args.force)
            with _collector_paused() if job is jobs[0] else contextlib.nullcontext():
                run(job)
        except FAILURES as error:
            if not args.keep_going:
                raise
            failed += 1
            _print_error(error)
    if failed:
        raise FileError(f"{failed} of {len(jobs)} files failed")


def info(args: argparse.Namespace) -> None:
    """Prints what a .dfc file says of itself."""
    data = atomic_file.read_bytes(args.input, LARGEST_FILE)
    with _named(args.input):
        found = file_info(data)
    pixels = found.width * found.height
    print(f"size      {found.width} x {found.height} pixels")
    print(f"model     {model_names().get(found.fingerprint, 'unknown')}", end="")
    print(f" (fingerprint {found.fingerprint:08x})")
    print(f"quality   {'one rate' if found.quality is None else f'{found.quality:g}'}")
    for name in ("header", "z", "y"):
        bits = getattr(found, f"{name}_bits")
        print(f"{name:9s} {bits} bits, {bits / pixels:.4f} bpp")
    print(f"file      {len(data)} bytes, {found.bpp:.4f} bpp")


def import_cdc(args: argparse.Namespace) -> None:
    """Published weights -> folder of an exported model."""
    from diffcomp.export import exported_model, published_import

    output = Path(args.output)
    exported_model.check_target(output)
    config = _published_config(args.config) if args.config else None
    with _progress(args, f"importing {args.input}"):
        model = published_import.import_cdc(Path(args.input), args.name, config)
        exported_model.save(model, output)
    values = sum(value.size for value in model.params.values())
    _say(args, f"{output}: model {model.name}, {values / 1e6:.1f} M parameters")


def _published_config(path: str):  # noqa: ANN202
    """The `model` of a configuration file; ValueError unless it is of the published networks."""
    from diffcomp.config import from_mapping
    from diffcomp.published.config import CdcConfig
    from diffcomp.training.config import Config

    config = from_mapping(Config, runpy.run_path(path)["get_config"]()).model
    if config.ARCHITECTURE != CdcConfig.ARCHITECTURE:
        raise ValueError(
            f"{path} has architecture {config.ARCHITECTURE!r}; it must be"
            f" {CdcConfig.ARCHITECTURE!r}."
        )
    return config


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diffcomp", description="Image codec with a diffusion decoder."
    )
    parser.add_argument("--version", action="version", version=f"diffcomp {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(commands, "compress", compress, "image -> .dfc")
    text = "images that Pillow opens; the last of two is the output if it ends in .dfc"
    command.add_argument("paths", nargs="+", metavar="FILE", help=text)
    command.add_argument(
        "--quality",
        type=float,
        metavar="Q",
        help=f"real number from {MIN_QUALITY:g} to {MAX_QUALITY:g} (default: {DEFAULT_QUALITY:g})",
    )
    command.add_argument(
        "--background", metavar="COLOR", help="flatten transparency onto it, e.g. white or #204060"
    )
    _add_common(command)

    command = _command(commands, "decompress", decompress, ".dfc -> image")
    text = ".dfc files; the last of two is the output if it ends otherwise"
    command.add_argument("paths", nargs="+", metavar="FILE", help=text)
    command.add_argument("--steps", type=int, metavar="N", help="calls of the score network")
    command.add_argument("--gamma", type=float, metavar="G", help="starting noise, 0 to 1")
    command.add_argument("--eta", type=float, metavar="E", help="noise in each step, 0 to 1")
    command.add_argument(
        "--realism", type=float, metavar="R", help="0: least error, 1: natural look (default)"
    )
    command.add_argument("--seed", type=int, metavar="S", help="of the noise (default: 0)")
    command.add_argument(
        "--compute-dtype",
        choices=COMPUTE_DTYPES,
        help="of the networks; bfloat16 is for accelerators (default: float32)",
    )
    _add_common(command)

    command = _command(commands, "info", info, "what a .dfc file holds")
    command.add_argument("input", help="a .dfc file")

    text = "weights of the published model -> exported model"
    command = _command(commands, "import-cdc", import_cdc, text)
    command.add_argument("input", help="a released .pt file, xparam or epsilonparam")
    command.add_argument("output", help="folder to write, for --model")
    command.add_argument("--config", metavar="FILE", help="its configuration (default: inferred)")
    command.add_argument("--name", default="", help="name of the model (default: the file's)")
    _add_quiet(command)

    # Its options only; what they start is imported when it runs.
    from diffcomp.evaluation.command import add_parser

    add_parser(commands)
    return parser


def _command(commands, name, run, text) -> argparse.ArgumentParser:  # noqa: ANN001
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"shipped model or folder of an exported one (default: {DEFAULT_MODEL})",
    )
    command.add_argument("--force", action="store_true", help="overwrite an existing output")
    command.add_argument(
        "--output-dir",
        metavar="DIR",
        help="folder of the outputs (default: beside each input)",
    )
    command.add_argument(
        "--keep-going", action="store_true", help="go on after a file that fails; exit code 1"
    )
    _add_quiet(command)
    _add_verbose(command)


def _add_quiet(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _add_verbose(command: argparse.ArgumentParser) -> None:
    command.add_argument("--verbose", action="store_true", help="say what takes how long")


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """For what imports JAX and Numba: of the million objects that they make, all stay.

    Python's collector would look through them every now and then and once more at the end, which
    takes as long as the imports themselves.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@functools.cache
def _codec(model: str):  # noqa: ANN202
    # Imported late: --help, wrong usage and unreadable input answer without waiting for JAX.
    from diffcomp import codec

    log.info("JAX is imported")
    return codec.load(model)


def _print_error(error: BaseException) -> None:
    reason = "not enough memory for this image" if isinstance(error, MemoryError) else error
    print(f"diffcomp: {reason}", file=sys.stderr)


def _say(args: argparse.Namespace, text: str) -> None:
    if not args.quiet:
        print(text, file=sys.stderr)


@contextlib.contextmanager
def _progress(args: argparse.Namespace, text: str) -> Iterator[None]:
    """A spinner on stderr, on a terminal only."""
    if args.quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{text} (the first run of a size also compiles)"):
        yield


@contextlib.contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Puts the file's name before what is wrong with it."""
    try:
        yield
    except BitstreamError as error:
        raise BitstreamError(f"{path}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
