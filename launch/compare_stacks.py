"""Files under two stacks: python launch/compare_stacks.py FOLDER --other_python=PATH

Compresses the pictures of FOLDER under this interpreter and under another, which may have other
releases of JAX and NumPy, and decodes every file under both as far as y_hat. That must be equal bit
for bit: exit code 1 if it is not. Bytes of the files may differ, since the encoder computes y in
floats before it rounds; in how many they do is printed too. `--range_coder` and
`--other_range_coder` choose either side's implementation: numba or tfc.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags, logging

from diffcomp.coding.range_coder import IMPLEMENTATION_VARIABLE, IMPLEMENTATIONS
from diffcomp.files import image_file

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("compare", "compress", "decode")  # the others are what `compare` runs in each stack

_PART = flags.DEFINE_enum("part", "compare", PARTS, "What this process does.")
_OTHER = flags.DEFINE_string("other_python", sys.executable, "Interpreter of the other stack.")
_CODERS = [
    flags.DEFINE_enum(name, "numba", IMPLEMENTATIONS, "Implementation of the range coder.")
    for name in ("range_coder", "other_range_coder")
]
_QUALITY = flags.DEFINE_float("quality", None, "From 1 to 8 (default: the codec's).")


def compress(pictures: Path, target: Path) -> dict[str, str]:
    """Writes a file for every picture; returns what the stack is made of."""
    import jax

    from diffcomp import codec

    coder = codec.load()
    for path in sorted(pictures.iterdir()):
        data = coder.compress(image_file.read_image(path).pixels, _QUALITY.value)
        (target / f"{path.name}.dfc").write_bytes(data)
    return {"JAX": jax.__version__, "NumPy": np.__version__, "Python": sys.version.split()[0]}


def decode(folder: Path) -> dict[str, str]:
    """SHA-256 of the y_hat of each file."""
    from diffcomp import codec

    coder = codec.load()
    digests = {}
    for path in sorted(folder.iterdir()):
        y_hat = coder.read(path.read_bytes()).y_hat
        digests[path.name] = hashlib.sha256(np.ascontiguousarray(y_hat, "<f4")).hexdigest()
    return digests


def run(stack: int, part: str, *paths: Path) -> dict[str, str]:
    """A part in a process of this stack (0) or the other (1); raises CalledProcessError."""
    python = (sys.executable, _OTHER.value)[stack]
    command = [python, __file__, f"--part={part}", *map(str, paths)]
    if _QUALITY.value is not None:
        command.append(f"--quality={_QUALITY.value}")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        IMPLEMENTATION_VARIABLE: _CODERS[stack].value,
    }
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def compare(pictures: Path) -> bool:
    """Prints the counts; returns whether every y_hat is equal."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / name for name in ("this", "other")]
        for stack, folder in enumerate(folders):
            folder.mkdir()
            made_of = run(stack, "compress", pictures, folder)
            versions = ", ".join(f"{name} {version}" for name, version in made_of.items())
            print(f"{folder.name}: {versions}, range coder {_CODERS[stack].value}", flush=True)
        files = [{path.name: path.read_bytes() for path in f.iterdir()} for f in folders]
        differing = sum(data != files[1][name] for name, data in files[0].items())
        print(f"files whose bytes differ: {differing} of {len(files[0])}")
        equal = True
        for folder in folders:
            first, second = (run(stack, "decode", folder) for stack in (0, 1))
            same = sum(digest == second[name] for name, digest in first.items())
            print(f"y_hat of the files of {folder.name}: equal in {same} of {len(first)}")
            equal &= first == second
    return equal


def main(argv: list[str]) -> None:
    logging.set_verbosity(logging.WARNING)
    paths = [Path(text) for text in argv[1:]]
    if len(paths) != (2 if _PART.value == "compress" else 1) or not paths[0].is_dir():
        raise app.UsageError("one folder of pictures must be given")
    if _PART.value == "compare":
        sys.exit(0 if compare(paths[0]) else 1)
    print(json.dumps({"compress": compress, "decode": decode}[_PART.value](*paths)))


if __name__ == "__main__":
    app.run(main)
