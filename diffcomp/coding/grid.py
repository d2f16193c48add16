"""Positions of y and z over an image, and the sizes that are computed with."""

import math

Y_STRIDE = 16  # pixels per position of y, along each side
Z_STRIDE = 64  # pixels per position of z
Z_PER_Y = Z_STRIDE // Y_STRIDE  # positions of y per position of z
BUCKETS_PER_OCTAVE = 8


def positions(side: int, stride: int) -> int:
    """Positions of a latent that cover `side` pixels (or positions), one per `stride`.

    >>> positions(512, Y_STRIDE), positions(513, Y_STRIDE)
    (32, 33)
    """
    return -(-side // stride)


def whole_blocks(side: int) -> int:
    """The least multiple of Z_STRIDE, at least `side`: what every network takes."""
    return positions(side, Z_STRIDE) * Z_STRIDE


def bucket(side: int) -> int:
    """A multiple of Z_STRIDE from a short list, at least `side`.

    Up to BUCKETS_PER_OCTAVE sizes between 2**n and 2**(n + 1), so that a folder of photographs
    compiles a few programs, at the price of at most 1/8 more pixels along a side.

    >>> [bucket(side) for side in (1, 64, 500, 1000, 1030)]
    [64, 64, 512, 1024, 1152]
    """
    octave = 2 ** math.floor(math.log2(side))
    granule = max(Z_STRIDE, octave // BUCKETS_PER_OCTAVE)
    return positions(side, granule) * granule
