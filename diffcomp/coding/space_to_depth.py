"""Exchange of space for channels: exact, invertible, and free of strided convolutions.

Both functions use only `reshape` and `transpose`, so the float networks (JAX arrays) and the
integer path (NumPy arrays) share them, and therefore the order of the channels.
"""

from typing import Any, TypeVar

Array = TypeVar("Array", bound=Any)


def space_to_depth(x: Array, block: int) -> Array:
    """[B, H, W, C] -> [B, H/block, W/block, block*block*C], channel order (row, column, C).

    H and W must be multiples of `block`; otherwise the reshape raises.
    """
    b, h, w, c = x.shape
    x = x.reshape(b, h // block, block, w // block, block, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // block, w // block, block * block * c)


def depth_to_space(x: Array, block: int) -> Array:
    """Inverse of `space_to_depth`: [B, h, w, block*block*C] -> [B, h*block, w*block, C]."""
    b, h, w, d = x.shape
    c = d // (block * block)
    x = x.reshape(b, h, w, block, block, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * block, w * block, c)
