"""The images to measure, from files, folders and TensorFlow Datasets, prepared by a protocol."""

import dataclasses
import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from diffcomp.data.image_sources import FolderImages, TfdsImages
from diffcomp.evaluation.protocols import Protocol
from diffcomp.files.image_file import ImageError, read_image

TFDS = "tfds:"


@dataclasses.dataclass(frozen=True)
class NamedImage:
    """An image as it is measured."""

    name: str  # unique in its set
    pixels: np.ndarray  # uint8 [H, W, 3]

    @property
    def crc(self) -> str:
        """CRC-32 of size and pixels: equal for equal images only, for all practical purposes."""
        return (
            f"{zlib.crc32(self.pixels.tobytes(), zlib.crc32(repr(self.pixels.shape).encode())):08x}"
        )

    @property
    def digest(self) -> str:
        """SHA-256 of size and pixels."""
        return hashlib.sha256(repr(self.pixels.shape).encode() + self.pixels.tobytes()).hexdigest()


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images that are read anew each time they are gone through, so that few are in memory."""

    files: dict[str, Path]  # by name
    data_sets: dict[str, TfdsImages]  # by NAME/SPLIT
    protocol: Protocol
    left_out: Counter[str]  # pictures of other kinds in the folders, by suffix
    drawn: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    # By name: the sub-folder, such as portrait or foliage, of pictures that lie in one.
    classes: dict[str, str] = dataclasses.field(default_factory=dict)

    def __iter__(self) -> Iterator[NamedImage]:
        for name, pixels in self.drawn.items():
            yield NamedImage(name, pixels)
        for name, path in self.files.items():
            yield from self._prepared(name, read_image(path).pixels)
        for place, source in self.data_sets.items():
            for index in range(len(source)):
                name = f"{place.replace('/', '_')}_{index:05d}"
                yield from self._prepared(name, source.read(index))

    def _prepared(self, name: str, pixels: np.ndarray) -> Iterator[NamedImage]:
        prepared = self.protocol.prepare(pixels)
        if prepared is not None:
            yield NamedImage(name, prepared)

    def size(self) -> int:
        """How many images there are before the protocol leaves any out."""
        return (
            len(self.drawn)
            + len(self.files)
            + sum(len(source) for source in self.data_sets.values())
        )


def open_images(sources: Sequence[str], protocol: Protocol) -> ImageSet:
    """The images of files, folders (with their sub-folders) and `tfds:NAME/SPLIT`, or drawn ones.

    No source stands for the protocol's own data set in TFDS. Raises ImageError for a path that
    does not exist, ValueError if there is no image or a data set cannot be read, ImportError for a
    data set without TFDS.
    """
    if protocol.drawn is not None:
        if sources:
            raise ValueError(f"Protocol {protocol.name} draws its images; it takes no others.")
        return ImageSet({}, {}, protocol, Counter(), protocol.drawn())
    hint = f" Get {protocol.where}" if protocol.where else ""
    if not sources and not protocol.source:
        raise ValueError(f"No images given; protocol {protocol.name} has no data set.{hint}")
    paths, data_sets, left_out, classes = [], {}, Counter(), {}
    for source in sources or [protocol.source]:
        if source.startswith(TFDS):
            place = source.removeprefix(TFDS)
            data_sets[place] = _open_tfds(place, hint)
        elif Path(source).is_dir():
            folder = FolderImages(source)
            found = [Path(folder.name(index)) for index in range(len(folder))]
            classes |= {path: name for path in found if (name := _class(Path(source), path))}
            paths += found
            left_out += folder.left_out
        elif Path(source).is_file():
            paths.append(Path(source))
        else:
            raise ImageError(f"{source}: no such file or folder.{hint}")
    files = _name(paths)
    by_name = {name: classes[path] for name, path in files.items() if path in classes}
    return ImageSet(files, data_sets, protocol, left_out, classes=by_name)


def _class(folder: Path, path: Path) -> str:
    """The sub-folder of `folder` in which a picture lies; empty if it lies in none."""
    parts = Path(os.path.relpath(path, folder)).parts
    return parts[0] if len(parts) > 1 else ""


def _open_tfds(place: str, hint: str) -> TfdsImages:
    if not all(place.rpartition("/")):
        raise ValueError(f"source is {TFDS}{place}; it must be of the form {TFDS}NAME/SPLIT.")
    try:
        return TfdsImages(place)
    except (ValueError, ImportError) as error:
        raise type(error)(f"{error}{hint and ' Or give a folder.'}{hint}") from error


def _name(paths: list[Path]) -> dict[str, Path]:
    """Names as short as they can be without two files sharing one."""
    for name_of in (lambda path: path.stem, lambda path: path.name, lambda path: path.as_posix()):
        names = [name_of(path) for path in paths]
        if len(set(names)) == len(names):
            return dict(zip(names, paths, strict=True))
    twice = next(name for name, count in Counter(names).items() if count > 1)
    raise ValueError(f"Image {twice} is given twice.")
