"""Writes tests/golden/streams/: files of the frozen stack, and what decoders must find in them.

Not run by the tests. It needs the environment of requirements-tfc.lock, whose range coder is
TensorFlow Compression's: `make .venv-tfc/.installed`, then
`.venv-tfc/bin/python tests/make_stream_golden.py`.
"""

import json
import os
from importlib.metadata import version

import golden_streams

from diffcomp.coding.range_coder import IMPLEMENTATION_VARIABLE

PACKAGES = ("jax", "numpy", "tensorflow-compression-ops")


def main() -> None:
    os.environ[IMPLEMENTATION_VARIABLE] = "tfc"
    golden_streams.FOLDER.mkdir(exist_ok=True)
    for name, (model, quality) in golden_streams.CASES.items():
        data = golden_streams.codec(model).compress(golden_streams.image(), quality)
        (golden_streams.FOLDER / name).write_bytes(data)
    made_by = {package: version(package) for package in PACKAGES}
    text = json.dumps({"made_by": made_by, "files": golden_streams.digests()}, indent=1)
    golden_streams.DIGESTS.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
