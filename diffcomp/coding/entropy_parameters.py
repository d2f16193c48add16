"""The network that picks the entropy tables, written once for two arithmetics.

It computes mean and log2 of the scale of every element of y: from z_hat (the hyper synthesis h_s of
Minnen et al. 2018), and from what is known of y_hat when a pass of a group of channels is coded:
the coarser groups around and at each position, and the group's own earlier passes around it
(`channel_groups`). It is told which pass it is and the quality, since y_hat's steps hang on it.
From z_hat alone it says, too, how much coarser or finer than the quality's each position's steps
are: where there is much to see, the eye forgives more.

These functions say which layers follow which. What a layer does is up to `layers`: training gives
float convolutions (`entropy_network.FloatLayers`), coding gives the same layers in exact integer
arithmetic (`fixed_point.FixedPointLayers`), so that no bit of a file depends on float rounding.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from diffcomp.coding.channel_groups import ChannelGroup, Phase
from diffcomp.coding.space_to_depth import depth_to_space

SLOPE = 2.0**-3  # of the leaky ReLU below zero: dyadic, so exact in integers
Y_LIMIT = 31.0  # the network reads y_hat clipped to +- this many spreads
OWN_SIDE = {2: 3, 4: 5}  # number of passes -> kernel side of what looks at the earlier ones
# Steps change by 2 to the power of multiples of 2**-CHANGE_BITS, up to MAX_OCTAVES both ways.
CHANGE_BITS = 4
MAX_OCTAVES = 2
LARGEST_CHANGE = MAX_OCTAVES << CHANGE_BITS
REACH = 2  # positions that the largest of them sees in each direction

Tensor = Any  # a JAX array of floats, or a NumPy array of integers


class Layers(Protocol):
    """One arithmetic's convolutions, by name; [B, H, W, C] in and out."""

    def linear(self, name: str, h: Tensor, phase: Phase | None = None) -> Tensor:
        """Convolution and bias: everywhere, or at the positions of one phase."""

    def activate(self, h: Tensor) -> Tensor:
        """Leaky ReLU with slope SLOPE below zero."""


class Seen(NamedTuple):
    """What a pass knows of y_hat, [B, H, W, channels], clipped to +- Y_LIMIT; None: nothing."""

    coarser: Tensor | None  # all channels of the groups before
    own: Tensor | None  # the group's own channels; zero where they are not known yet


def layer_shapes(
    hyper: int, width: int, groups: Sequence[ChannelGroup]
) -> dict[str, tuple[int, int, int]]:
    """(kernel side, input channels, output channels) of every layer, by name."""
    shapes = {
        "up32": (3, hyper, 4 * hyper),
        "up16": (3, hyper, 4 * width),
        "features": (3, width, width),
    }
    for g, group in enumerate(groups):
        shapes |= {
            f"head_{g}": (1, width, 2 * group.size),
            f"mix_{g}": (1, width, width),
            f"own_{g}": (OWN_SIDE[len(group.passes)], group.size, width),
            f"tail_{g}": (1, width, width),
            f"refine_{g}": (1, width, 2 * group.size),
            f"step_{g}": (1, width, 1),
        }
        if group.start:
            shapes[f"coarser_{g}"] = (3, group.start, width)
    return shapes


def features(layers: Layers, z_hat: Tensor) -> Tensor:
    """z_hat [B, h, w, hyper] -> features [B, 4h, 4w, width], shared by all passes."""
    h = depth_to_space(layers.activate(layers.linear("up32", z_hat)), 2)
    h = depth_to_space(layers.activate(layers.linear("up16", h)), 2)
    return layers.activate(layers.linear("features", h))


def step_changes(layers: Layers, g: int, f: Tensor) -> Tensor:
    """log2 of what the steps of group g are multiplied by: [B, ..., width] -> [B, ..., 1].

    f: `features`, of all positions or of some. What comes out is not bounded yet.
    """
    return layers.linear(f"step_{g}", f)


def parameters(layers: Layers, g: int, phase: Phase, f: Tensor, told: Tensor, seen: Seen) -> Tensor:
    """Parameters of group g at one phase: [B, ..., 2 C_g], mean then log2 scale.

    Where nothing is known of y_hat, those of z_hat alone.

    f: features [B, H, W, width]. told: what is said of pass and quality, to be added to
      [B, ..., width].
    """
    here = phase.of(f)
    first = layers.linear(f"head_{g}", here)
    if seen.coarser is None and seen.own is None:
        return first
    h = layers.linear(f"mix_{g}", here) + told
    for name, known in zip(seen._fields, seen, strict=True):
        if known is not None:
            h = h + layers.linear(f"{name}_{g}", known, phase)
    h = layers.activate(layers.linear(f"tail_{g}", layers.activate(h)))
    return first + layers.linear(f"refine_{g}", h)
