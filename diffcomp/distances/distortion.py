"""Distortion and rate of one image: MSE, PSNR and bits per pixel, by their usual definitions.

Each function judges one image. The figure for a data set is the mean of its images' figures, each
image weighing the same; a mean PSNR is a mean of decibels, not the PSNR of the mean MSE.
"""

import math

import numpy as np

PEAK = 255  # largest value of a uint8 channel


def mse(image: np.ndarray, reference: np.ndarray) -> float:
    """Mean squared error, in squared steps of the 0 to 255 scale; 0 for identical images.

    The mean is over all pixels and the three channels alike: not luma, no channel weights.

    Args:
      image, reference: uint8 [H, W, 3], the same shape, not empty.

    Raises:
      ValueError: if the two differ in shape or dtype, or are no such images.
    """
    if image.shape != reference.shape or image.dtype != reference.dtype:
        raise ValueError(
            f"image is {image.dtype} {image.shape} and reference {reference.dtype} "
            f"{reference.shape}; they must be equal in shape and dtype."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(
            f"image and reference are {image.dtype} {image.shape}; they must be uint8 [H, W, 3] "
            "and not empty."
        )
    difference = image.astype(np.int32) - reference
    return float(np.mean(np.square(difference)))


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(255^2 / MSE); infinite for identical images.

    Arguments, errors and the mean over channels are those of `mse`.
    """
    error = mse(image, reference)
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def bpp(num_bytes: int, height: int, width: int) -> float:
    """Bits per pixel of a compressed image: 8 * num_bytes / (height * width).

    A pixel counts once, not once for each channel.

    Args:
      num_bytes: size of the whole file with its header, >= 0.
      height, width: of the decoded image in pixels, without padding, >= 1.

    Raises:
      ValueError: if an argument is out of its range.
    """
    if num_bytes < 0:
        raise ValueError(f"num_bytes is {num_bytes}; it must be at least 0.")
    if height < 1 or width < 1:
        raise ValueError(f"image is {height}x{width} pixels; both sides must be at least 1.")
    return 8 * num_bytes / (height * width)
