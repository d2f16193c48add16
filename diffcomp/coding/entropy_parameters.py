"""The network that picks the entropy tables, written once for two arithmetics.

From z_hat it computes mean and log2 of the scale of every element of y (the hyper synthesis h_s of
Minnen et al. 2018), in two passes over a checkerboard (He et al. 2021): positions with an even
row + column ("anchors") from z_hat alone, the others also from the anchors' y_hat.

These functions say which layers follow which. What a layer does is up to `layers`: training gives
float convolutions (`hyperprior.FloatLayers`), coding gives the same layers in exact integer
arithmetic (`fixed_point.FixedPointLayers`), so that no bit of a file depends on float rounding.
"""

from typing import Any, Protocol

import numpy as np

from diffcomp.coding.space_to_depth import depth_to_space

SLOPE = 2.0**-3  # of the leaky ReLU below zero: dyadic, so exact in integers
ANCHOR_LIMIT = 31.0  # the context network reads y_hat clipped to +- this many spreads

Tensor = Any  # a JAX array of floats, or a NumPy array of integers


class Layers(Protocol):
    """One arithmetic's convolutions, by name; [B, H, W, C] in and out."""

    def linear(self, name: str, h: Tensor) -> Tensor:
        """Convolution and bias."""

    def activate(self, h: Tensor) -> Tensor:
        """Leaky ReLU with slope SLOPE below zero."""


# name -> kernel side and output channels, as multiples of (width, hyper width, latent channels)
def layer_shapes(hyper: int, width: int, latent: int) -> dict[str, tuple[int, int, int]]:
    """(kernel side, input channels, output channels) of every layer, by name."""
    return {
        "up32": (3, hyper, 4 * hyper),
        "up16": (3, hyper, 4 * width),
        "features": (3, width, width),
        "head": (1, width, 2 * latent),
        "anchors": (3, latent, width),
        "mix": (1, width, width),
        "tail": (1, width, width),
        "tail_head": (1, width, 2 * latent),
    }


def features(layers: Layers, z_hat: Tensor) -> Tensor:
    """z_hat [B, h, w, hyper] -> features [B, 4h, 4w, width], shared by both passes."""
    h = depth_to_space(layers.activate(layers.linear("up32", z_hat)), 2)
    h = depth_to_space(layers.activate(layers.linear("up16", h)), 2)
    return layers.activate(layers.linear("features", h))


def first_pass(layers: Layers, f: Tensor) -> Tensor:
    """Parameters of every position from z_hat alone: [..., 2 C], mean then log2 scale."""
    return layers.linear("head", f)


def neighbours(layers: Layers, anchors: Tensor) -> Tensor:
    """What each position sees of the anchors' y_hat (zero elsewhere) around it, [..., width]."""
    return layers.linear("anchors", anchors)


def second_pass(layers: Layers, f: Tensor, parameters: Tensor, seen: Tensor) -> Tensor:
    """Refines the first pass's parameters by what `neighbours` gave, [..., 2 C].

    This and `first_pass` look at each position alone: some positions in a row will do.
    """
    h = layers.activate(seen + layers.linear("mix", f))
    h = layers.activate(layers.linear("tail", h))
    return parameters + layers.linear("tail_head", h)


def anchor_mask(height: int, width: int) -> np.ndarray:
    """bool [1, height, width, 1], true where row + column is even."""
    row, column = np.indices((height, width))
    return ((row + column) % 2 == 0)[None, :, :, None]
