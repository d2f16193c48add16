"""SSIMULACRA2 and Butteraugli, by the programs of libjxl, their authors' implementation.

Both take 8-bit sRGB, as PPM without a profile, which libjxl reads as sRGB. Neither program tells
its version, another package installs a `ssimulacra2` that is up to 30 points off, and
Butteraugli has changed between releases. So each must first give the value of libjxl 0.11.2 for a
drawn pair.

Agreement with other routes, on three photographs as JPEG at qualities 10 to 95: SSIMULACRA2 in
double precision by another implementation, its blur mended, to 0.1 at qualities up to 50 and to 1.5
at 95; Butteraugli of libjxl 0.7 gives 1 to 3 % less, and the printed norm is that of the map.

Sources: Sneyers, "SSIMULACRA 2", https://github.com/cloudinary/ssimulacra2, version 2.1, 2023;
Alakuijala and others, "Guetzli: perceptually guided JPEG encoder", arXiv:1703.04421, section 2.
"""

import dataclasses
import functools
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from diffcomp.evaluation.metrics.programs import find_program, named_with_crc, run_program

VERSION = "0.11.2"
MINIMUM_SIZE = 8  # pixels; of smaller images one program fails, and the other says 0
WHERE = "of libjxl, package libjxl-devtools of Debian 13 (that of Debian 12 is too old)"


@dataclasses.dataclass(frozen=True)
class LibjxlProgram:
    """A program that is called with the original and the decoded image."""

    name: str  # of its file
    printed: re.Pattern[str]  # the whole of what it prints, with the value as group 1
    known: float  # value of `known_pair`, by libjxl VERSION
    tolerance: float


PROGRAMS = {
    "ssimulacra2": LibjxlProgram("ssimulacra2", re.compile(r"(-?\d+\.\d+)\s*"), -41.8102, 1e-3),
    "butteraugli": LibjxlProgram(
        "butteraugli_main", re.compile(r"\d+\.\d+\s+3-norm:\s+(\d+\.\d+)\s*"), 7.16399, 1e-4
    ),
}


def ssimulacra2(image: np.ndarray, reference: np.ndarray) -> float:
    """SSIMULACRA 2.1: 100 for identical images, about 90 where no eye sees a difference.

    Structural similarity and edges gained and lost at six resolutions in the color space XYB,
    weighted for agreement with 22,000 opinions. It falls without a bound; below 30 is low quality.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 8.

    Raises:
      FileNotFoundError: if the program is not on the PATH.
      RuntimeError: if it fails, or is no SSIMULACRA 2.1 of libjxl.
    """
    check_program("ssimulacra2")
    return _value("ssimulacra2", image, reference)


def butteraugli(image: np.ndarray, reference: np.ndarray) -> float:
    """Butteraugli's 3-norm, for a display of 80 nits; 0 for identical images, lower is better.

    The cube root of the mean cube of its map of differences, averaged with those of the powers 6
    and 12; not the map's maximum, which the program prints first and which one pixel decides.

    Args, raises: as `ssimulacra2`.
    """
    check_program("butteraugli")
    return _value("butteraugli", image, reference)


def stated(metric: str) -> str:
    """Which program gives the values of `metric`, for their definition."""
    file = find_program(PROGRAMS[metric].name, f"Metric {metric}", WHERE)
    return f"by libjxl's program {named_with_crc(file)}, which agrees with libjxl {VERSION}"


def found() -> list[str]:
    """Those of the programs that are on the PATH, with the CRC-32 of each."""
    files = filter(None, (shutil.which(program.name) for program in PROGRAMS.values()))
    return [named_with_crc(Path(file)) for file in files]


def check_program(metric: str) -> None:
    """Raises as `ssimulacra2` says unless the program is there and gives the known value."""
    check_file(metric, find_program(PROGRAMS[metric].name, f"Metric {metric}", WHERE))


@functools.cache
def check_file(metric: str, file: Path) -> None:
    """As `check_program`, of a program that is there; once per process."""
    program = PROGRAMS[metric]
    value = _value(metric, *known_pair())
    if abs(value - program.known) > program.tolerance:
        raise RuntimeError(
            f"{file} gives {value:.6g} for a pair of which libjxl {VERSION} gives "
            f"{program.known:.6g}; metric {metric} needs the program {WHERE}."
        )


def known_pair() -> tuple[np.ndarray, np.ndarray]:
    """(image, reference), uint8 [40, 56, 3]: slopes with stripes, and with fewer levels of them."""
    rows, columns = np.indices((40, 56))
    planes = (5 * rows + 40 * (columns % 7 == 0), 4 * columns, 2 * rows + 3 * columns)
    reference = np.stack(planes, axis=-1).astype(np.uint8)
    return reference // 24 * 24, reference


def _value(metric: str, image: np.ndarray, reference: np.ndarray) -> float:
    program = PROGRAMS[metric]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("original.ppm", "decoded.ppm")]
        for path, pixels in zip(paths, (reference, image), strict=True):
            Image.fromarray(pixels).save(path)
        text = run_program(program.name, *paths)
    found = program.printed.fullmatch(text)
    if found is None:
        raise RuntimeError(f"{program.name} printed {text[:80]!r}, which is none of libjxl's.")
    return float(found[1])
