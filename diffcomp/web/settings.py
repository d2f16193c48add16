"""What whoever starts the page decides."""

import dataclasses
import re

from diffcomp.coding.bitstream import check_max_pixels, check_size

DEFAULT_PIXELS = 2**24  # a phone's picture of 12 megapixels, and some more
DEFAULT_BYTES = 64_000_000
DEFAULT_WARM_UP = "512x512,768x512,512x768"
LARGEST_PORT = 2**16 - 1


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """Raises ValueError for a field out of its range."""

    model: str
    host: str = "127.0.0.1"
    port: int = 7860  # 0: any that is free
    max_pixels: int = DEFAULT_PIXELS  # of a picture, by its header
    max_bytes: int = DEFAULT_BYTES  # of an upload
    queue: int = 8  # jobs that may wait, beside the one that runs
    warm_up: tuple[tuple[int, int], ...] = ()  # width, height

    def __post_init__(self) -> None:
        check_max_pixels(self.max_pixels)
        if not 0 <= self.port <= LARGEST_PORT:
            raise ValueError(f"--port is {self.port}; it must be in [0, {LARGEST_PORT}].")
        for name in ("max_bytes", "queue"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {value}; it must be 1 or more.")
        for width, height in self.warm_up:
            check_size(width, height, self.max_pixels)


def parse_sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Sizes of pictures as people write them, or "none"; raises ValueError.

    >>> parse_sizes("768x512,64x64"), parse_sizes("none")
    (((768, 512), (64, 64)), ())
    """
    if text.strip() == "none":
        return ()
    found = [re.fullmatch(r"\s*(\d{1,5})x(\d{1,5})\s*", part) for part in text.split(",")]
    if None in found:
        raise ValueError(f"sizes are {text!r}; they must be like 768x512,512x768, or none.")
    return tuple((int(match[1]), int(match[2])) for match in found if match)
