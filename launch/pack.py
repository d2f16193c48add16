"""Photographs in one file of a stated size: python launch/pack.py SOURCE OUT [--megabytes=40]

SOURCE is a folder, or any source that a configuration names (folder:PATH, tfds:NAME/SPLIT). The
file is a source itself: --config.data.train=packed:OUT.
"""

import functools
from pathlib import Path

from absl import app, flags

from diffcomp.data.image_sources import open_sources
from diffcomp.data.packed_images import pack
from diffcomp.files.atomic_file import FileError

_MEGABYTES = flags.DEFINE_float("megabytes", 40.0, "Largest size of the file, 10^6 bytes.", 0.001)
_MAX_SIDE = flags.DEFINE_integer("max_side", 2048, "Larger pictures are made smaller, pixels.", 64)


def main(argv: list[str]) -> None:
    if len(argv) != 3:
        raise app.UsageError("Give the photographs and the file to write.")
    source, out = argv[1], Path(argv[2])
    try:
        sources = open_sources(f"folder:{source}" if Path(source).is_dir() else source)
        images = [
            (each.name(i), functools.partial(each.read, i))
            for each in sources
            for i in range(len(each))
        ]
        done = pack(images, out, round(_MEGABYTES.value * 1e6), _MAX_SIDE.value)
    except (ValueError, FileError) as error:
        raise SystemExit(f"pack: {error}") from error
    print(f"{out}: {done.images} photographs, AVIF quality {done.quality}, {done.size} bytes")
    if done.left_out:
        print(f"left out {len(done.left_out)} that cannot be read or have no room")


if __name__ == "__main__":
    app.run(main)
