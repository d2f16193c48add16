"""`diffcomp info`: what a .dfc file says of itself."""

import argparse

from diffcomp.coding.bitstream import LARGEST_FILE
from diffcomp.coding.file_info import file_info
from diffcomp.commands.terminal import named
from diffcomp.export.shipped_models import model_names
from diffcomp.files import atomic_file


def add_parser(commands) -> None:  # noqa: ANN001
    """Adds the sub-command to argparse's sub-parsers."""
    command = commands.add_parser("info", help="what a .dfc file holds", description=__doc__)
    command.set_defaults(run=run)
    command.add_argument("input", help="a .dfc file")


def run(args: argparse.Namespace) -> None:
    """Prints it; raises what `terminal.FAILURES` lists."""
    data = atomic_file.read_bytes(args.input, LARGEST_FILE)
    with named(args.input):
        found = file_info(data)
    pixels = found.width * found.height
    print(f"size      {found.width} x {found.height} pixels")
    print(f"model     {model_names().get(found.fingerprint, 'unknown')}", end="")
    print(f" (fingerprint {found.fingerprint:08x})")
    print(f"quality   {'one rate' if found.quality is None else f'{found.quality:g}'}")
    for name in ("header", "z", "y", "flat", "metadata"):
        bits = getattr(found, f"{name}_bits")
        if name in ("flat", "metadata") and not bits:
            continue
        print(f"{name:9s} {bits} bits, {bits / pixels:.4f} bpp")
    print(f"file      {len(data)} bytes, {found.bpp:.4f} bpp")
