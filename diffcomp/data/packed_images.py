"""Photographs in one file of a stated size, for a machine that does not have the originals.

The file is a zip archive of AVIF pictures, 4:4:4, stored as they are: any unpacker opens it.
"""

import dataclasses
import io
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from diffcomp.files.atomic_file import atomic_write
from diffcomp.files.image_file import ImageError, decode_image

Named = tuple[str, Callable[[], np.ndarray]]  # a picture's name, and what reads it

QUALITIES = range(40, 96, 5)  # of Pillow's AVIF, that `pack` chooses from
SAMPLE = 12  # pictures that the choice looks at
# What the archive adds, bytes: before each member, and for each (and once) in its table at the end.
LOCAL, CENTRAL = 30 + 52, 46 + 52
SPEED = 8  # of the AVIF encoder: training does not need its best


class PackedImages:
    """The pictures of a file that `pack` wrote, in its order.

    Raises ValueError for a file that is no such archive or is empty.
    """

    def __init__(self, path: str):
        self._path, self._lock = path, threading.Lock()
        self._archive: zipfile.ZipFile | None = None
        try:
            self._names = self._open().namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is no archive of packed photographs: {error}") from error
        if not self._names:
            raise ValueError(f"{path} holds no photograph.")

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        return f"{self._path}/{self._names[index]}"

    def sizes(self, threads: int) -> Iterator[tuple[int, int] | ImageError]:
        del threads  # headers in one file, read in order, are quick
        for index, name in enumerate(self._names):
            try:
                with Image.open(io.BytesIO(self._bytes(name))) as image:
                    yield image.size
            except (OSError, ValueError, zipfile.BadZipFile) as error:
                yield ImageError(f"{self.name(index)}: {error}")

    def read(self, index: int) -> np.ndarray:
        """The picture, uint8 [H, W, 3]; raises ImageError."""
        try:
            data = self._bytes(self._names[index])
        except zipfile.BadZipFile as error:
            raise ImageError(f"{self.name(index)}: {error}") from error
        return decode_image(io.BytesIO(data), self.name(index)).pixels

    def _bytes(self, name: str) -> bytes:
        with self._lock:
            return self._open().read(name)

    def _open(self) -> zipfile.ZipFile:
        if self._archive is None:
            self._archive = zipfile.ZipFile(self._path)
        return self._archive

    def __getstate__(self) -> dict:
        # Worker processes open the file anew.
        return self.__dict__ | {"_archive": None, "_lock": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


@dataclasses.dataclass(frozen=True)
class Packed:
    """What `pack` did."""

    quality: int  # of Pillow's AVIF
    images: int  # that are in the file
    left_out: tuple[str, ...]  # names of those that cannot be read, and of those without room
    size: int  # bytes of the file


def pack(images: Sequence[Named], out: Path, limit: int, max_side: int = 2048) -> Packed:
    """Writes the pictures into `out`, at most `limit` bytes.

    All get the one quality at which, judged by a sample, all fit; what then still does not fit is
    left out. Sides are reduced to `max_side` pixels. `images` are (name, function that gives uint8
    [H, W, 3] or raises ImageError). Raises ValueError if not one fits, FileError as `atomic_write`.
    """
    quality = _quality_for(images, limit, max_side)
    left_out, count = [], 0
    with atomic_write(out, overwrite=True) as file, zipfile.ZipFile(file, "w") as archive:
        for number, (name, read) in enumerate(images):
            try:
                data = _encode(read(), quality, max_side)
            except ImageError:
                left_out.append(name)
                continue
            if file.tell() + LOCAL + len(data) + CENTRAL * (count + 2) > limit:
                left_out.append(name)
                continue
            archive.writestr(_member(number, name), data)
            count += 1
        if not count:
            raise ValueError(f"not one of {len(images)} pictures fits into {limit} bytes.")
    return Packed(quality, count, tuple(left_out), out.stat().st_size)


def _member(number: int, name: str) -> str:
    return f"{number:06d}_{Path(name).stem[:40]}.avif"


def _quality_for(images: Sequence[Named], limit: int, max_side: int) -> int:
    step = max(1, len(images) // SAMPLE)
    sample = []
    for _, read in images[::step]:
        try:
            sample.append(read())
        except ImageError:
            continue
    best = QUALITIES[0]
    for quality in QUALITIES:
        sizes = [len(_encode(pixels, quality, max_side)) for pixels in sample]
        if sizes and (np.mean(sizes) + LOCAL + CENTRAL) * len(images) + CENTRAL > limit:
            break
        best = quality
    return best


def _encode(pixels: np.ndarray, quality: int, max_side: int) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "AVIF", quality=quality, subsampling="4:4:4", speed=SPEED)
    return file.getvalue()
