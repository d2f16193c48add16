"""Networks that compute in bfloat16, from parameters that stay float32.

What decides over bits, colours and noise levels stays in float32 throughout: the hyperprior and
its prior, the linear path of the transforms, the embedding of time, losses and optimiser. The
other networks get their parameters as bfloat16, and each layer reads its input in the type of its
parameters.
"""

import contextlib
import re
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from diffcomp.published.layers import Conv, UpConv

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
FLOAT32 = re.compile(
    r"(^|/)(parameters|prior|medians|hyper_analysis|hyper_synthesis|log2_gain|basis|offset"
    r"|time_hidden|time_out)(/|$)"
)


def cast_params(params: dict[str, Any], dtype: str) -> dict[str, Any]:
    """Parameters by path, the networks' in `dtype`; ValueError for one that is not in DTYPES."""
    if dtype not in DTYPES:
        raise ValueError(f"compute_dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}.")
    return {
        path: value if FLOAT32.search(path) else value.astype(DTYPES[dtype])
        for path, value in params.items()
    }


def layers_follow_params() -> contextlib.AbstractContextManager:
    """Within it, each convolution and dense layer casts its input to the type of its kernel."""
    return nn.intercept_methods(_cast_input)


def _cast_input(
    call: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext
) -> Any:
    module = context.module
    if isinstance(module, (nn.Conv, nn.Dense, Conv, UpConv)) and context.method_name in (
        "__call__",
        "part",
    ):
        kernel = module.variables["params"]["kernel"]
        args = (args[0].astype(kernel.dtype), *args[1:])
    return call(*args, **kwargs)
