"""Square patches of images, of which the distances between sets of images are made."""

from collections.abc import Iterable, Iterator

import numpy as np

SIDE = 256  # pixels


def patches(image: np.ndarray) -> Iterator[np.ndarray]:
    """Patches uint8 [256, 256, 3] of uint8 [H, W, 3]: two grids, one shifted by half a patch.

    The first grid begins in the upper left corner and has h = H // 256 rows and w = W // 256
    columns; the second begins 128 pixels further down and right, with h - 1 rows and w - 1
    columns. What does not fill a patch at the right and below is left out.

    Source: Mentzer, Toderici, Tschannen and Agustsson, "High-Fidelity Generative Image
    Compression", NeurIPS 2020, appendix A.7.
    """
    height, width = image.shape[:2]
    for shift, fewer in ((0, 0), (SIDE // 2, 1)):
        for row in range(height // SIDE - fewer):
            for column in range(width // SIDE - fewer):
                top, left = shift + row * SIDE, shift + column * SIDE
                yield image[top : top + SIDE, left : left + SIDE]


def count_patches(height: int, width: int) -> int:
    """How many `patches` gives of an image; 0 of one with a side below 256."""
    rows, columns = height // SIDE, width // SIDE
    return rows * columns + max(rows - 1, 0) * max(columns - 1, 0)


def patches_of(images: Iterable[np.ndarray], what: str) -> Iterator[np.ndarray]:
    """The patches of all images in turn.

    Raises:
      ValueError: if one of `images`, which the message calls `what`, is not uint8 [H, W, 3] or has
        a side below 256.
    """
    for number, image in enumerate(images):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f"{what}[{number}] is {image.dtype} {image.shape}; it must be uint8 [H, W, 3]."
            )
        if min(image.shape[:2]) < SIDE:
            height, width = image.shape[:2]
            raise ValueError(
                f"{what}[{number}] is {height}x{width} pixels; patches need at least {SIDE}x{SIDE}."
            )
        yield from patches(image)
