"""The convolution that every network behind a distance is made of."""

import jax
from jax import lax


def conv_relu(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    padding: int | str,
    stride: int = 1,
) -> jax.Array:
    """A convolution, a bias and a rectifier.

    Args:
      x: float32 [B, H, W, C_in].
      kernel: float32 [height, width, C_in, C_out].
      bias: float32 [C_out].
      padding: positions of zeros on each side, or "SAME" or "VALID" as `jax.lax` has them.
      stride: of both axes.
    """
    x = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=padding if isinstance(padding, str) else [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        # A metric must not depend on an accelerator's reduced default precision.
        precision=lax.Precision.HIGHEST,
    )
    return jax.nn.relu(x + bias.reshape(1, 1, 1, -1))
