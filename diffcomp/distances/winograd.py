"""A convolution of 3x3 positions with a quarter of the products, for wide layers on CPUs.

Winograd's minimal filtering F(4x4, 3x3): tiles of 6x6 inputs and the kernel are transformed, their
products summed over the channels, and the sums transformed to 4x4 outputs. In float32 it is off by
a few parts in a million. It is for inference; gradients are better had of the plain convolution.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.3.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Of tiles, of kernels and of sums: B^T, G and A^T there.
_TILES = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNELS = np.float32(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
_SUMS = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
_AT_ONCE = 1024  # tiles: what stays in a core's cache, of 256 channels

# Below, the transforms take what the products save.
LEAST_CHANNELS = 256
LEAST_POSITIONS = 2048


def pays(x: jax.Array, kernel: jax.Array) -> bool:
    """Whether `convolve` is quicker than the plain convolution of x [B, H, W, C] with a kernel."""
    wide = kernel.shape[:2] == (3, 3) and x.shape[3] >= LEAST_CHANNELS
    return wide and x.shape[1] * x.shape[2] >= LEAST_POSITIONS and jax.default_backend() == "cpu"


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """float32 [B, H, W, C] with [3, 3, C, K], zeros around -> [B, H, W, K]."""
    transformed = jnp.einsum("ia,jb,abck->ijck", _KERNELS, _KERNELS, kernel, precision="highest")
    transformed = transformed.reshape(36, *kernel.shape[2:])
    return jax.vmap(lambda image: _convolve(image, transformed))(x)


def _convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """[H, W, C] with the transformed kernel [36, C, K], some rows of tiles after others."""
    height, width, channels = x.shape
    rows, columns = -(-height // 4), -(-width // 4)
    at_once = max(1, min(rows, _AT_ONCE // columns))
    steps = -(-rows // at_once)
    below, right = 4 * steps * at_once + 3 - height, 4 * columns + 3 - width
    padded = jnp.pad(x, ((1, below), (1, right), (0, 0)))

    def part(step: jax.Array) -> jax.Array:
        sides = 4 * at_once + 4, 4 * columns + 4, channels
        window = lax.dynamic_slice(padded, (4 * at_once * step, 0, 0), sides)
        tiles = _transformed(window.reshape(at_once + 1, 4, columns + 1, 4, channels))
        sums = jnp.einsum("tmc,tck->tmk", tiles, kernel, precision="highest")
        sums = sums.reshape(6, 6, at_once, columns, -1)
        lines = [
            jnp.stack(_combined(_SUMS, list(line)), axis=2) for line in _combined(_SUMS, list(sums))
        ]
        return jnp.stack(lines, axis=1).reshape(4 * at_once, 4 * columns, -1)

    made = lax.map(part, jnp.arange(steps)).reshape(4 * steps * at_once, 4 * columns, -1)
    return made[:height, :width]


def _transformed(blocks: jax.Array) -> jax.Array:
    """Blocks [R + 1, 4, S + 1, 4, C], of which tiles take two rows and columns of the next ones.

    Returns [36, R S, C].
    """
    lines = [blocks[:-1, i] for i in range(4)] + [blocks[1:, i] for i in range(2)]
    tiles = []
    for line in _combined(_TILES, lines):  # [R, S + 1, 4, C]
        places = [line[:, :-1, j] for j in range(4)] + [line[:, 1:, j] for j in range(2)]
        tiles += _combined(_TILES, places)
    return jnp.stack(tiles).reshape(36, -1, blocks.shape[-1])


def _combined(matrix: tuple[tuple[int, ...], ...], parts: list[jax.Array]) -> list[jax.Array]:
    """A matrix of small whole numbers times parts of equal shape, term by term."""
    return [
        sum(weight * part for weight, part in zip(row, parts, strict=True) if weight)
        for row in matrix
    ]
