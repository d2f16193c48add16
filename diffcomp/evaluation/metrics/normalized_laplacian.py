"""NLPD, a distance of images after the gain control of early vision."""

import numpy as np
from scipy import ndimage

from diffcomp.evaluation.metrics.planes import luma

_BLUR = (0.05, 0.25, 0.4, 0.25, 0.05)
# Of each band, finest first: how the absolute values above, left of, right of and below a
# coefficient add to what it is divided by, and the constant in it. Fitted to natural images.
_NEIGHBORS = (
    (0.1011, 0.1493, 0.1460, 0.1015),
    (0.0757, 0.1986, 0.1846, 0.0837),
    (0.0477, 0.2138, 0.2243, 0.0467),
    (0.0, 0.2503, 0.2616, 0.0),
    (0.0, 0.2598, 0.2552, 0.0),
    (0.0, 0.2215, 0.0717, 0.0),  # the low-pass rest
)
_CONSTANTS = (0.0248, 0.0185, 0.0179, 0.0191, 0.0220, 0.2782)


def nlpd(image: np.ndarray, reference: np.ndarray) -> float:
    """Normalized Laplacian pyramid distance of one pair; 0 or more, lower is better.

    Each of five bands of a Laplacian pyramid and the low-pass rest is divided, point by point, by
    a constant plus a weighted sum of its neighbors' absolute values. Of each the root of the mean
    squared difference is taken; the six are averaged.

    Color: luma in [0, 1], of the pixel values as they are (gamma-encoded).

    Source: Laparra, Ballé, Berardino and Simoncelli, "Perceptual image quality assessment using a
    normalized Laplacian pyramid", Human Vision and Electronic Imaging 2016, equations 1 to 3, with
    the filters of the authors' code.

    Args:
      image, reference: uint8 [H, W, 3], both sides at least 32, so that the rest has a pixel.
    """
    pyramids = (_normalized_pyramid(luma(each) / 255) for each in (image, reference))
    differences = [x - y for x, y in zip(*pyramids, strict=True)]
    return float(np.mean([np.sqrt(np.mean(each**2)) for each in differences]))


def _normalized_pyramid(plane: np.ndarray) -> list[np.ndarray]:
    bands = []
    for _ in _CONSTANTS[:-1]:
        smaller = _blur(plane, "reflect")[::2, ::2]
        bands.append(plane - _enlarge(smaller, plane.shape))
        plane = smaller
    bands.append(plane)
    return [_normalize(*each) for each in zip(bands, _NEIGHBORS, _CONSTANTS, strict=True)]


def _normalize(
    band: np.ndarray, neighbors: tuple[float, float, float, float], constant: float
) -> np.ndarray:
    up, left, right, down = neighbors
    kernel = np.array([[0, up, 0], [left, 0, right], [0, down, 0]])
    # A convolution in the authors' code: `left` weighs what lies right of the point.
    return band / (constant + ndimage.convolve(np.abs(band), kernel, mode="constant"))


def _enlarge(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Twice the size, cut to `shape`, by blurring between zeros; border pixels repeat."""
    padded = np.pad(plane, 1, mode="edge")
    spread = np.zeros([2 * n for n in padded.shape])
    spread[::2, ::2] = 4 * padded
    return _blur(spread, "constant")[2 : 2 + shape[0], 2 : 2 + shape[1]]


def _blur(plane: np.ndarray, border: str) -> np.ndarray:
    for axis in (0, 1):
        plane = ndimage.correlate1d(plane, _BLUR, axis, mode=border)
    return plane
