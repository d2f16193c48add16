"""How often each photograph is drawn, and what is drawn in place of one that cannot be used.

Large pictures carry more detail than small ones, so an image is drawn in proportion to its pixels:
the data set is a list of crop slots, `crops_per_megapixel` of them per image. Where sizes are not
known beforehand (TFDS), an image has one slot.
"""

import logging
import math
import threading
from typing import NamedTuple

import numpy as np

from diffcomp.data.config import DataConfig
from diffcomp.data.image_sources import SourceError, open_sources
from diffcomp.files.image_file import ImageError

log = logging.getLogger(__name__)

# A longer run of images that cannot be used is a fault of the data set, not of the images.
MAX_UNUSABLE = 1000


class Fault(NamedTuple):
    """An image that cannot be read, and why: a sentence that names it."""

    name: str
    reason: str


class Drawn(NamedTuple):
    """What a slot holds, and the unreadable images that were passed over to find it."""

    pixels: np.ndarray  # uint8 [H, W, 3]
    faults: tuple[Fault, ...]


class CropSlots:
    """Random-access list of what can be cropped: slot -> `Drawn`.

    An image that cannot be read, or has transparent pixels, is replaced by the next one in the
    list, and so is one of unknown size that turns out to be too small: always by the same, so
    batches stay a function of the step. `skipped` maps each unreadable image that was noted so
    far to the reason; `len(skipped)` is their number.

    Raises SourceError for a source that `open_sources` refuses, if no image is large enough, and,
    when drawn from, for MAX_UNUSABLE images in a row that cannot be used.
    """

    def __init__(self, config: DataConfig):
        self.config = config
        self.skipped: dict[str, str] = {}
        self._lock = threading.Lock()
        self._kept: dict[int, np.ndarray] = {}
        self._unusable: dict[int, Fault | None] = {}  # None: too small
        self._sources = open_sources(config.train, config.tfds_dir)
        images, slots, pixels = [], [], 0
        for number, source in enumerate(self._sources):
            for index, size in enumerate(source.sizes(max(1, config.threads))):
                if isinstance(size, ImageError):
                    self.note((Fault(source.name(index), str(size)),))
                elif size is None or min(size) >= config.min_side:
                    area = math.prod(size) if size else 0
                    slots.append(max(1, round(area / 1e6 * config.crops_per_megapixel)))
                    images.append((number, index))
                    pixels += area
        if not slots:
            raise SourceError(
                f"None of {sum(map(len, self._sources))} images has sides of {config.min_side} or"
                f" more; {len(self.skipped)} of them cannot be read."
            )
        self._images = np.array(images)  # index of the source, index in it
        self._slots = np.repeat(np.arange(len(slots)), slots)
        if config.cache_decoded and config.workers:
            log.warning(
                "each of %d worker processes keeps decoded images of its own, up to %.1f GB in all"
                " where sizes are known; data.cache_decoded = False saves it",
                config.workers,
                config.workers * pixels * 3e-9,
            )

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, slot: int) -> Drawn:
        first, count = int(self._slots[slot]), len(self._images)
        tries = min(count, MAX_UNUSABLE)
        faults = []
        for index in (np.arange(first, first + tries) % count).tolist():
            pixels = self._pixels(index)
            if pixels is not None:
                return Drawn(pixels, tuple(faults))
            if fault := self._unusable[index]:
                faults.append(fault)
        last = f" The last: {faults[-1].reason}." if faults else ""
        raise SourceError(
            f"None of {tries} images in a row can be used: {len(faults)} cannot be read,"
            f" {tries - len(faults)} have a side below {self.config.min_side}.{last}"
        )

    def __getstate__(self) -> dict:
        # Worker processes start with an empty cache.
        return self.__dict__ | {"_lock": None, "_kept": {}, "_unusable": {}}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def note(self, faults: tuple[Fault, ...]) -> None:
        """Enters unreadable images in `skipped`, and names each in the log the first time."""
        for name, reason in faults:
            with self._lock:
                if name in self.skipped:
                    continue
                self.skipped[name] = reason
                log.warning("skipped unreadable image %d: %s", len(self.skipped), reason)

    def _pixels(self, index: int) -> np.ndarray | None:
        """The decoded image, or None and an entry in `_unusable`."""
        if index in self._unusable:
            return None
        if index in self._kept:
            return self._kept[index]
        number, place = self._images[index]
        source = self._sources[number]
        try:
            pixels = source.read(place)
        except ImageError as error:
            self._unusable[index] = Fault(source.name(place), str(error))
            return None
        if min(pixels.shape[:2]) < self.config.min_side:
            self._unusable[index] = None
            return None
        if self.config.cache_decoded:
            self._kept[index] = pixels
        return pixels
