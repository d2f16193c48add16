"""Random crops of photographs, as a function of (seed, step): any batch can be made again.

Large pictures carry more detail than small ones, so an image is drawn in proportion to its pixels:
the data set is a list of crop slots, `crops_per_megapixel` of them per image, shuffled each epoch.
"""

import logging
import math
import threading
from collections.abc import Iterator
from pathlib import Path

import grain.python as grain
import numpy as np
from PIL import Image

from diffcomp.config import DataConfig
from diffcomp.image_file import ImageError, read_image

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = {".avif", ".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class CropSlots:
    """Random-access source: slot -> decoded image, uint8 [H, W, 3].

    An image that cannot be read, or has transparent pixels, is logged, counted in `skipped`, and
    replaced by the next one in the list: always the same, so batches stay a function of the step.
    Raises ValueError if no image is left.
    """

    def __init__(self, files: list[Path], config: DataConfig):
        self.skipped: set[Path] = set()
        self._lock = threading.Lock()
        self._keep = config.cache_decoded
        self._images: dict[int, np.ndarray | None] = {}  # None: cannot be read
        self._files, slots = [], []
        for file in files:
            size = self._size(file)
            if size and min(size) >= config.min_side:
                megapixels = math.prod(size) / 1e6
                slots.append(max(1, round(megapixels * config.crops_per_megapixel)))
                self._files.append(file)
        if not slots:
            raise ValueError(
                f"None of {len(files)} images has sides of {config.min_side} or more;"
                f" {len(self.skipped)} of them cannot be read."
            )
        self._slots = np.repeat(np.arange(len(slots)), slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, slot: int) -> np.ndarray:
        first, count = int(self._slots[slot]), len(self._files)
        for index in (*range(first, count), *range(first)):
            image = self._image(index)
            if image is not None:
                return image
        raise ValueError(f"None of {count} images can be read; the log names them.")

    def _image(self, index: int) -> np.ndarray | None:
        if index in self._images:
            return self._images[index]
        try:
            pixels = read_image(self._files[index]).pixels
        except ImageError as error:
            pixels = None
            self._skip(self._files[index], error)
        if self._keep or pixels is None:
            with self._lock:
                self._images[index] = pixels
        return pixels

    def _size(self, file: Path) -> tuple[int, int] | None:
        """Width and height by the file's header, None if it has none that can be read."""
        try:
            with Image.open(file) as image:
                return image.size
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            self._skip(file, error)
            return None

    def _skip(self, file: Path, error: Exception) -> None:
        with self._lock:
            if file not in self.skipped:
                self.skipped.add(file)
                log.warning("skipped %s, unreadable image %d: %s", file, len(self.skipped), error)


def image_files(source: str) -> list[Path]:
    """The images that `folder:PATH` names, sorted; raises ValueError when there are none."""
    kind, _, place = source.partition(":")
    if kind != "folder" or not place:
        raise ValueError(f"data source is {source!r}; it must be of the form folder:PATH.")
    files = sorted(p for p in Path(place).rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise ValueError(f"{place} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    return files


def random_crop(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of `side` pixels, mirrored half of the time, uint8 [side, side, 3].

    An image smaller than the crop is extended by reflection.
    """
    height, width = image.shape[:2]
    if min(height, width) < side:
        pad = [(0, max(0, side - height)), (0, max(0, side - width)), (0, 0)]
        image = np.pad(image, pad, mode="symmetric")
        height, width = image.shape[:2]
    top = rng.integers(height - side + 1)
    left = rng.integers(width - side + 1)
    crop = image[top : top + side, left : left + side]
    return crop[:, ::-1] if rng.integers(2) else crop


def crop_dataset(source: CropSlots, side: int, batch: int, seed: int) -> grain.MapDataset:
    """An endless, randomly accessible data set: step -> uint8 [batch, side, side, 3]."""
    return (
        grain.MapDataset.source(source)
        .seed(seed)
        .shuffle()
        .repeat()
        .random_map(lambda image, rng: random_crop(image, side, rng))
        .batch(batch)
    )


def batches(dataset: grain.MapDataset, start: int, threads: int) -> Iterator[np.ndarray]:
    """Batches start, start + 1, ..., made ahead of time by `threads` threads."""
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    return iter(dataset[start:].to_iter_dataset(options))
