"""Networks that compute in bfloat16, from parameters that stay float32.

What bits, colours and noise levels depend on stays in float32 throughout: the hyperprior and
its prior, the linear path of the transforms, the embedding of time, losses and optimiser. The
other networks get their parameters as bfloat16, and each layer reads its input in the type of its
parameters.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from diffcomp.decode_settings import check_dtype
from diffcomp.params import Params, under


def cast_params(params: Params, dtype: str, float32: tuple[str, ...]) -> Params:
    """Parameters in `dtype`, but for those under a prefix of `float32`; raises as `check_dtype`."""
    check_dtype(dtype)
    return {
        path: value if under(path, float32) else value.astype(dtype)
        for path, value in params.items()
    }


def layers_follow_params() -> contextlib.AbstractContextManager:
    """Within it, each convolution and dense layer casts its input to the type of its kernel."""
    return nn.intercept_methods(_cast_input)


def _cast_input(
    call: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext
) -> Any:
    # Whatever the family calls its convolutions: a layer is a module that has a kernel of its own.
    kernel = context.module.variables.get("params", {}).get("kernel")
    if isinstance(kernel, jax.Array) and context.method_name in ("__call__", "part"):
        args = (args[0].astype(kernel.dtype), *args[1:])
    return call(*args, **kwargs)
