"""Random crops of photographs, as a function of (seed, step): any batch can be made again.

Large pictures carry more detail than small ones, so an image is drawn in proportion to its pixels:
the data set is a list of crop slots, `crops_per_megapixel` of them per image, shuffled each epoch.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import grain.python as grain
import numpy as np
from PIL import Image

from diffcomp.config import DataConfig
from diffcomp.image_file import read_image

IMAGE_SUFFIXES = {".avif", ".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class CropSlots:
    """Random-access source: slot -> decoded image, uint8 [H, W, 3]."""

    def __init__(self, files: list[Path], config: DataConfig):
        self._files = files
        self._cache: dict[int, np.ndarray] | None = {} if config.cache_decoded else None
        self._lock = threading.Lock()
        slots = []
        for i, file in enumerate(files):
            with Image.open(file) as image:
                width, height = image.size
            if min(width, height) >= config.min_side:
                megapixels = width * height / 1e6
                slots += [i] * max(1, round(megapixels * config.crops_per_megapixel))
        if not slots:
            raise ValueError(f"None of {len(files)} images has sides of {config.min_side} or more.")
        self._slots = np.array(slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, slot: int) -> np.ndarray:
        index = int(self._slots[slot])
        if self._cache is None:
            return read_image(self._files[index]).pixels
        if index not in self._cache:
            pixels = read_image(self._files[index]).pixels
            with self._lock:
                self._cache[index] = pixels
        return self._cache[index]


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
