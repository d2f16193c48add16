"""Bytes of `.dfc` files guided by coverage: what reaches new branches is kept and changed further.

    pip install atheris             # no part of requirements.lock; wheels for Linux
    python tests/fuzz_coverage.py --minutes 10

Atheris (libFuzzer) watches the branches of `diffcomp/coding/`, but for the loops that Numba
compiles. The CRC-32 of each input is made right, so that what lies behind it is reached. Anything
but a BitstreamError or decoded latents ends the run, with the input in a file. The networks are
left out: they take any latents.
"""

import argparse
import importlib
import pkgutil
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import atheris

NOT_WATCHED = ("numba_range_coder", "tfc_range_coder")
with atheris.instrument_imports(
    include=["diffcomp.coding"], exclude=[f"diffcomp.coding.{name}" for name in NOT_WATCHED]
):
    from diffcomp import coding
    from diffcomp.coding import bitstream

    for module in pkgutil.iter_modules(coding.__path__):
        if module.name not in NOT_WATCHED:
            importlib.import_module(f"diffcomp.coding.{module.name}")

from fuzz_dfc import CRC_OFFSET, originals  # noqa: E402
from tiny_model import MODEL  # noqa: E402

from diffcomp.codec import load  # noqa: E402

LARGEST = 2**16  # pixels: what is decoded at all is decoded soon


def main() -> None:
    """Runs for some minutes, starting from whole files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    args = parser.parse_args()
    codec = load(MODEL)

    def decode(data: bytes) -> None:
        if len(data) >= bitstream.HEADER_BYTES:
            rest = data[bitstream.HEADER_BYTES :]
            crc = zlib.crc32(rest, zlib.crc32(data[:CRC_OFFSET]))
            data = data[:CRC_OFFSET] + struct.pack("<I", crc) + rest
        try:
            codec.read(data, LARGEST)
        except bitstream.BitstreamError:
            return

    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(originals(codec)):
            Path(corpus, str(number)).write_bytes(data)
        options = [f"-max_total_time={60 * args.minutes:.0f}", "-max_len=4096", "-timeout=60"]
        atheris.Setup([sys.argv[0], *options, corpus], decode)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
