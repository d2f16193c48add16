"""What each of `stages` computes, of a model that is bound to its parameters."""

from jax import Array

from diffcomp.coding.quality import normalized_quality
from diffcomp.networks.model import CompressionModel


def encode_stage(model: CompressionModel, name: str, quality: Array, *inputs: Array) -> Array:
    """The map `name` of its inputs, in the order of its stage, each [B, ...]; quality [B]."""
    analysis = model.hyperprior.analysis
    e = model.hyperprior.conditioning((normalized_quality(quality),))
    match name:
        case "e8":
            return analysis.residual.to8(*inputs, e)
        case "e16":
            return analysis.residual.to16(*inputs, e)
        case "y":
            e16, x = inputs
            return analysis.combine(x, analysis.residual.from16(e16, e))
        case "z":
            return model.latents(*inputs).z
    raise ValueError(f"no stage of the encoder is called {name!r}.")


def context_stage(model: CompressionModel, name: str, quality: Array, *inputs: Array) -> Array:
    """Likewise, one of the maps that a decoder makes of y_hat alone."""
    residual = model.context_decoder.residual
    e = model.context_conditioning((normalized_quality(quality),))
    match name:
        case "c16" | "c8":
            return getattr(residual, name)(*inputs, e)
        case "c4":
            c8, y_hat = inputs
            return residual.c4(c8, model.decode_linear(y_hat), e)
        case "base":
            c4, y_hat = inputs
            return residual.base(c4, model.decode_linear(y_hat))
    raise ValueError(f"no stage of the context is called {name!r}.")


def score_stage(
    model: CompressionModel,
    name: str,
    t: Array,
    alpha_bar: Array,
    quality: Array,
    realism: Array,
    *inputs: Array,
) -> Array:
    """Likewise, one of the maps of one call of the score network; "x0" is its estimate."""
    network = model.score_network
    e = model.score_conditioning((normalized_quality(quality), realism, t))
    match name:
        case "skip8" | "h16":
            return getattr(network, name)(*inputs, e)
        case "skip4" | "x0":
            x_t, *others = inputs
            return getattr(network, name)(x_t, alpha_bar, *others, e)
    raise ValueError(f"no stage of the score network is called {name!r}.")
