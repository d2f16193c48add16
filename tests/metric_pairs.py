"""Pairs of images for the tests of metrics, the same on every machine: integers all the way."""

import numpy as np
import skimage.data

Pair = tuple[np.ndarray, np.ndarray]


def face(height: int, width: int) -> np.ndarray:
    return skimage.data.astronaut()[10 : 10 + height, 120 : 120 + width]


def coffee(height: int, width: int) -> np.ndarray:
    return skimage.data.coffee()[60 : 60 + height, 150 : 150 + width]


def cat(height: int, width: int) -> np.ndarray:
    return skimage.data.chelsea()[50 : 50 + height, 80 : 80 + width]


def add_noise(image: np.ndarray, seed: int, strength: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-strength, strength + 1, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def blur(image: np.ndarray, times: int) -> np.ndarray:
    """Mean over 3x3 pixels, wrapping around."""
    shifts = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    for _ in range(times):
        total = sum(np.roll(image.astype(np.int32), shift, axis=(0, 1)) for shift in shifts)
        image = (total // 9).astype(np.uint8)
    return image


def quantize_blocks(image: np.ndarray, step: int) -> np.ndarray:
    """Rounds the Hadamard coefficients of 8x8 blocks, coarsely where they are fine.

    Blocking and ringing much like those of JPEG, but of integers only. Sides: multiples of 8.
    """
    hadamard = np.ones((1, 1), np.int64)
    for _ in range(3):
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    signs = np.count_nonzero(np.diff(hadamard, axis=1), axis=1)  # sequency, 0 to 7
    steps = 8 * step * (1 + signs[:, None] + signs)[:, :, None]
    height, width, _ = image.shape
    blocks = image.reshape(height // 8, 8, width // 8, 8, 3).transpose(0, 2, 1, 3, 4)
    coefficients = np.einsum("ux,vy,ijxyc->ijuvc", hadamard, hadamard, blocks.astype(np.int64))
    rounded = (2 * coefficients + steps) // (2 * steps) * steps
    decoded = np.einsum("ux,vy,ijuvc->ijxyc", hadamard, hadamard, rounded) // 64
    decoded = np.clip(decoded, 0, 255).astype(np.uint8)
    return decoded.transpose(0, 2, 1, 3, 4).reshape(image.shape)


def shift_colors(image: np.ndarray) -> np.ndarray:
    """Less contrast, and warmer."""
    return (image.astype(np.int32) * [7, 6, 5] // 8 + [20, 10, 25]).astype(np.uint8)


def pairs() -> dict[str, Pair]:
    """(image, reference) by name; one pair is large enough to be halved by FSIM and VSI."""
    person, cup, pet = face(176, 192), coffee(176, 192), cat(176, 192)
    large = skimage.data.astronaut()[:384, :400]
    return {
        "face in blocks": (quantize_blocks(person, 6), person),
        "face with noise": (add_noise(person, 1, 24), person),
        "coffee blurred": (blur(cup, 2), cup),
        "coffee in coarse blocks": (quantize_blocks(cup, 24), cup),
        "cat in other colors": (shift_colors(pet), pet),
        "cat with faint noise": (add_noise(pet, 2, 4), pet),
        "large face blurred": (blur(large, 1), large),
    }
