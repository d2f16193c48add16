"""The images to measure, from files, folders and TensorFlow Datasets, prepared by a protocol."""

import dataclasses
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from diffcomp.evaluation.protocols import Protocol
from diffcomp.image_file import ImageError, read_image
from diffcomp.input_pipeline import image_files

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


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images that are read anew each time they are gone through, so that few are in memory."""

    files: dict[str, Path]  # by name
    datasets: tuple[str, ...]  # NAME/SPLIT of TensorFlow Datasets
    protocol: Protocol

    def __iter__(self) -> Iterator[NamedImage]:
        for name, path in self.files.items():
            yield from self._prepared(name, read_image(path).pixels)
        for dataset in self.datasets:
            for name, pixels in _read_tfds(dataset):
                yield from self._prepared(name, pixels)

    def _prepared(self, name: str, pixels: np.ndarray) -> Iterator[NamedImage]:
        prepared = self.protocol.prepare(pixels)
        if prepared is not None:
            yield NamedImage(name, prepared)

    def size(self) -> int:
        """How many images there are before the protocol leaves any out."""
        return len(self.files) + sum(_tfds_size(dataset) for dataset in self.datasets)


def open_images(sources: Sequence[str], protocol: Protocol) -> ImageSet:
    """The images of files, folders (with their sub-folders) and `tfds:NAME/SPLIT`.

    No source stands for the protocol's own data set in TensorFlow Datasets. Raises ImageError for
    a path that does not exist, ValueError if there is no image, FileNotFoundError for a data set
    that is not prepared on this machine.
    """
    if not sources and not protocol.source:
        hint = f" Get {protocol.where}." if protocol.where else ""
        raise ValueError(f"No images given; protocol {protocol.name} has no data set.{hint}")
    paths, datasets = [], []
    for source in sources or [protocol.source]:
        if source.startswith(TFDS):
            datasets.append(source.removeprefix(TFDS))
            _tfds_builder(datasets[-1], protocol)
        elif Path(source).is_dir():
            paths += image_files(f"folder:{source}")
        elif Path(source).is_file():
            paths.append(Path(source))
        else:
            hint = f"; get {protocol.where}" if protocol.where else ""
            raise ImageError(f"{source}: no such file or folder{hint}")
    return ImageSet(_name(paths), tuple(datasets), protocol)


def _name(paths: list[Path]) -> dict[str, Path]:
    """Names as short as they can be without two files sharing one."""
    for name_of in (lambda path: path.stem, lambda path: path.name, lambda path: path.as_posix()):
        names = [name_of(path) for path in paths]
        if len(set(names)) == len(names):
            return dict(zip(names, paths, strict=True))
    twice = next(name for name, count in Counter(names).items() if count > 1)
    raise ValueError(f"Image {twice} is given twice.")


def _tfds_builder(dataset: str, protocol: Protocol | None = None):  # noqa: ANN202
    """The builder of NAME/SPLIT, whose data must be on this machine."""
    # Imported late: it loads TensorFlow, and files need neither.
    import tensorflow_datasets as tfds

    name, _, split = dataset.rpartition("/")
    if not name:
        raise ValueError(f"source is {TFDS}{dataset}; it must be of the form {TFDS}NAME/SPLIT.")
    try:
        builder = tfds.builder(name)
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(f"TensorFlow Datasets has no data set {name!r}.") from error
    if not builder.info.splits:
        hint = f", or give a folder with the images of {protocol.where}" if protocol else ""
        raise FileNotFoundError(
            f"{TFDS}{dataset} is not on this machine (looked in {builder.data_dir}). Prepare it "
            f"with: tfds build {name}{hint}."
        )
    if split not in builder.info.splits:
        splits = ", ".join(builder.info.splits)
        raise ValueError(f"{TFDS}{name} has no split {split!r}; it has: {splits}.")
    return builder


def _tfds_size(dataset: str) -> int:
    return _tfds_builder(dataset).info.splits[dataset.rpartition("/")[2]].num_examples


def _read_tfds(dataset: str) -> Iterator[tuple[str, np.ndarray]]:
    """Names and images, uint8 [H, W, 3], in the order of the data set."""
    name, _, split = dataset.rpartition("/")
    examples = _tfds_builder(dataset).as_dataset(split=split)
    for index, example in enumerate(examples.as_numpy_iterator()):
        given = example.get("image/filename", b"").decode()
        # Of a data set for super-resolution, the picture of high resolution.
        pixels = example["hr"] if "hr" in example else example["image"]
        yield Path(given).stem or f"{name.replace('/', '_')}_{split}_{index:05d}", pixels
