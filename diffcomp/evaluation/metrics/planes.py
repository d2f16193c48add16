"""Planes of a color image, and the few operations on them that several metrics share.

A plane is float64 [H, W] on the scale from 0 to 255. Filters take the image as surrounded by
zeros, as MATLAB's `conv2` does, in which the metrics' authors published them; all but
`filter_inside`.
"""

import math

import numpy as np
from scipy import ndimage

# Red, green and blue in each plane of YIQ, as NTSC rounds them; the first row is the luma of
# ITU-R BT.601.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def luma(image: np.ndarray) -> np.ndarray:
    """Luma 0.299 R + 0.587 G + 0.114 B of uint8 [H, W, 3]; float64 [H, W], not rounded."""
    return image.astype(np.float64) @ _YIQ[0]


def gray_levels(image: np.ndarray) -> np.ndarray:
    """Luma rounded to whole numbers, halves upwards: the gray image that some metrics start from.

    Integer arithmetic, so that a luma halfway between two levels is the same on every machine.
    """
    weighted = image.astype(np.int64) @ np.array([299, 587, 114])
    return ((weighted + 500) // 1000).astype(np.float64)


def yiq(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Luma and the two chroma planes I and Q, which are 0 for gray, of uint8 [H, W, 3]."""
    planes = image.astype(np.float64) @ _YIQ.T
    return planes[..., 0], planes[..., 1], planes[..., 2]


def viewing_factor(image: np.ndarray) -> int:
    """By how much FSIM and VSI shrink an image: the shorter side over 256, rounded, at least 1."""
    return max(1, math.floor(min(image.shape[:2]) / 256 + 0.5))


def shrink(plane: np.ndarray, factor: int) -> np.ndarray:
    """Means over factor x factor pixels, at every `factor`-th row and column from the first.

    The window of an odd factor is centered, that of an even one reaches one pixel further down and
    right; outside the image lie zeros. The result has ceil(H / factor) rows.
    """
    before = factor - 1 - factor // 2
    rows, columns = (math.ceil(n / factor) for n in plane.shape)
    padded = np.pad(plane, before or 0)[: rows * factor, : columns * factor]
    missing = [(0, rows * factor - padded.shape[0]), (0, columns * factor - padded.shape[1])]
    padded = np.pad(padded, missing)
    return padded.reshape(rows, factor, columns, factor).mean(axis=(1, 3))


def gradient_magnitude(plane: np.ndarray, smoothing: tuple[float, float, float]) -> np.ndarray:
    """Length of the gradient by central differences, each smoothed across its direction.

    The weights `smoothing` are (3, 10, 3) / 16 for Scharr's operator, (1, 1, 1) / 3 for Prewitt's.
    """
    squares = np.zeros_like(plane)
    for axis in (0, 1):
        difference = ndimage.correlate1d(plane, (-1, 0, 1), axis, mode="constant")
        squares += ndimage.correlate1d(difference, smoothing, 1 - axis, mode="constant") ** 2
    return np.sqrt(squares)


def filter_inside(plane: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Filtered by `window` in both directions, only where it lies inside: [H - size + 1, ...]."""
    margin = len(window) // 2
    for axis in (0, 1):
        plane = ndimage.correlate1d(plane, window, axis)
    return plane[margin:-margin, margin:-margin]


def similarity(a: np.ndarray, b: np.ndarray, constant: float) -> np.ndarray:
    """(2ab + c) / (a^2 + b^2 + c), element by element: 1 where a equals b, less elsewhere."""
    return (2 * a * b + constant) / (a * a + b * b + constant)
