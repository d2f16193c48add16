"""Where photographs come from: folders, packed files and TFDS data sets, behind one interface.

A source is written `folder:PATH`, `packed:FILE` or `tfds:NAME/SPLIT`; several are joined by "," or
"+".
"""

import difflib
import io
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator
from multiprocessing import pool
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from diffcomp.data.packed_images import PackedImages
from diffcomp.files.atomic_file import errors_name
from diffcomp.files.image_file import READ_SUFFIXES, ImageError, decode_image, read_image

if TYPE_CHECKING:
    from types import ModuleType

    import tensorflow_datasets as tfds

IMAGE_SUFFIXES = {".avif", ".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
# Pictures too, but not taken from a folder: animations, cameras' raw data, what takes a package.
OTHER_SUFFIXES = {
    *(READ_SUFFIXES - IMAGE_SUFFIXES),
    *(".hif", ".ico", ".j2k", ".mpo", ".pbm", ".psd", ".svg"),
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
}


class SourceError(ValueError):
    """Images that a configuration names are not there, or are of no use."""


class ImageSource(Protocol):
    """A list of pictures. It can be pickled, and read by several threads at once."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What the log calls this picture."""

    def sizes(self, threads: int) -> Iterator[tuple[int, int] | ImageError | None]:
        """Width and height of each by its header, the error of a header that cannot be read.

        None if looking at all of them, in that many threads, would take too long.
        """

    def read(self, index: int) -> np.ndarray:
        """The picture, uint8 [H, W, 3]; raises ImageError as `image_file.read_image`."""


class FolderImages:
    """The pictures below a folder, sorted by path; raises ValueError when there are none.

    `left_out` counts, by suffix, the files there that are pictures of other kinds.
    """

    def __init__(self, folder: str):
        paths = list(Path(folder).rglob("*"))
        files = sorted(path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES)
        suffixes = (path.suffix.lower() for path in paths)
        self.left_out = Counter(suffix for suffix in suffixes if suffix in OTHER_SUFFIXES)
        if not files:
            others = f"; {counted(self.left_out)} are not read" if self.left_out else ""
            raise ValueError(
                f"{folder} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}){others}."
            )
        self._files = [str(file) for file in files]

    def __len__(self) -> int:
        return len(self._files)

    def name(self, index: int) -> str:
        return self._files[index]

    def sizes(self, threads: int) -> Iterator[tuple[int, int] | ImageError]:
        with pool.ThreadPool(threads) as workers:
            yield from workers.imap(_header_size, self._files, chunksize=64)

    def read(self, index: int) -> np.ndarray:
        return read_image(self._files[index]).pixels


class TfdsImages:
    """One image feature of a TFDS data set, as `place` NAME/SPLIT in `tfds_dir`.

    NAME may hold a configuration and a version, SPLIT is anything TFDS takes, such as
    `train[:90%]`. The feature is `image`, or else `hr` (of div2k), or else the first of its kind.
    The records are read at random and stay encoded until a picture is drawn.

    Raises ValueError for a data set, configuration, version or split that is unknown, a data set
    that is not prepared as array_record, and one without images; ImportError without TFDS.
    """

    def __init__(self, place: str, tfds_dir: str = ""):
        tfds = _tfds()
        self._place = place
        data_set, _, split = place.rpartition("/")
        # Not left to TFDS, which looks at the variable once, when it is imported.
        builder = _tfds_builder(data_set, tfds_dir or os.environ.get("TFDS_DATA_DIR") or None)
        self._feature = _image_feature(data_set, builder.info.features)
        self._records = _tfds_records(data_set, split, builder)
        # Not by TFDS's own PartialDecoding, which needs TensorFlow.
        feature = builder.info.features[self._feature]
        self._features = tfds.features.FeaturesDict({self._feature: feature})
        self._decoders = {self._feature: tfds.decode.SkipDecoding()}

    def __len__(self) -> int:
        return len(self._records)

    def name(self, index: int) -> str:
        return f"tfds:{self._place} image {index}"

    def sizes(self, threads: int) -> Iterator[None]:
        return itertools.repeat(None, len(self))

    def read(self, index: int) -> np.ndarray:
        example = self._features.deserialize_example_np(
            self._records[index], decoders=self._decoders
        )
        return decode_image(io.BytesIO(example[self._feature]), self.name(index)).pixels


def open_sources(text: str, tfds_dir: str = "") -> list[ImageSource]:
    """The sources that `text` names, in its order; `tfds_dir` is where TFDS data sets are.

    Without `tfds_dir`, the environment variable TFDS_DATA_DIR or the default of TFDS holds.
    Raises SourceError for another form or where there is no image, and ImportError for a package
    that a source needs.
    """
    # A separator only in front of a kind: paths hold commas, and splits may be added up.
    parts = re.split(r"[,+](?=(?:folder|packed|tfds):)", text)
    try:
        return [_open_source(part, tfds_dir) for part in parts]
    except ValueError as error:
        raise SourceError(str(error)) from error


def validation_images(
    text: str, count: int, tfds_dir: str = ""
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields name and pixels, uint8 [H, W, 3], of the first `count` pictures of `open_sources`.

    Raises also ImageError for a picture that cannot be read.
    """
    for source in open_sources(text, tfds_dir):
        taken = min(count, len(source))
        yield from ((source.name(i), source.read(i)) for i in range(taken))
        count -= taken


def counted(suffixes: Counter[str]) -> str:
    """Counts by suffix as text: "2 .heic, 1 .gif"."""
    ordered = sorted(suffixes.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {suffix}" for suffix, count in ordered)


def _header_size(file: str) -> tuple[int, int] | ImageError:
    try:
        with errors_name(file, ImageError), Image.open(file) as image:
            return image.size
    except ImageError as error:
        return error
    except (ValueError, Image.DecompressionBombError) as error:
        return ImageError(f"{file}: {error}")


def _open_source(text: str, tfds_dir: str) -> ImageSource:
    kind, _, place = text.partition(":")
    if kind == "folder" and place:
        return FolderImages(place)
    if kind == "packed" and place:
        return PackedImages(place)
    if kind == "tfds" and all(place.rpartition("/")):
        return TfdsImages(place, tfds_dir)
    raise ValueError(
        f"data source is {text!r}; it must be of the form folder:PATH, packed:FILE or"
        " tfds:NAME/SPLIT."
    )


def _tfds() -> "ModuleType":
    """Imported late: it takes a second, and few need it. Reading needs no TensorFlow."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "tfds: sources need the package tensorflow-datasets;"
            " pip install 'diffcomp[tfds]' brings it."
        ) from error
    return tfds


def _tfds_builder(data_set: str, tfds_dir: str | None) -> "tfds.core.DatasetBuilder":
    tfds = _tfds()
    try:
        return tfds.builder(data_set, data_dir=tfds_dir)
    except tfds.core.DatasetNotFoundError as error:
        name = re.split("[/:]", data_set)[0]
        known = tfds.list_builders(with_community_datasets=False)
        near = ", ".join(difflib.get_close_matches(name, known, n=5)) or "none"
        place = tfds_dir or "the default folder of TFDS"
        raise ValueError(
            f"TFDS knows no data set {name!r}, and {place} holds none of that name;"
            f" close ones: {near}."
        ) from error
    except (AssertionError, ValueError) as error:  # a configuration or version it does not have
        raise ValueError(f"tfds:{data_set} cannot be opened: {error}") from error


def _image_feature(data_set: str, features: "tfds.features.FeaturesDict") -> str:
    tfds = _tfds()
    images = [
        name
        for name, feature in features.items()
        # A LabeledImage is a map of classes.
        if isinstance(feature, tfds.features.Image)
        and not isinstance(feature, tfds.features.LabeledImage)
    ]
    for name in ("image", "hr", *images):
        if name in images:
            return name
    raise ValueError(f"tfds:{data_set} has no image among its features: {', '.join(features)}.")


def _tfds_records(
    data_set: str, split: str, builder: "tfds.core.DatasetBuilder"
) -> "tfds.core.data_sources.base.DataSource":
    """Index -> the serialized example, as bytes."""
    tfds = _tfds()
    try:
        source = builder.as_data_source(
            split,
            deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
            file_format="array_record",
        )
    except NotImplementedError as error:  # no format of random access, or nothing at all
        raise ValueError(_how_to_prepare(data_set, builder)) from error
    except ValueError as error:
        if "file format" in str(error):
            raise ValueError(_how_to_prepare(data_set, builder)) from error
        raise ValueError(f"split {split!r} of tfds:{data_set}: {error}") from error
    # What is inside can be pickled. The wrapper holds the builder, which cannot.
    return source.data_source


def _how_to_prepare(data_set: str, builder: "tfds.core.DatasetBuilder") -> str:
    # The root: data_dir goes on with name, configuration and version.
    depth = len(Path(builder.info.full_name).parts)
    root = builder.data_path.parents[depth - 1]
    state = "is there in another file format" if builder.is_prepared() else "is not prepared"
    advice = " in an empty folder" if builder.is_prepared() else ""
    return (
        f"tfds:{data_set} {state} in {root}; random access needs array_record."
        f' Prepare it{advice}: python -c "import tensorflow_datasets as tfds; tfds.builder('
        f"'{data_set}', data_dir='{root}', file_format='array_record').download_and_prepare()\""
    )
