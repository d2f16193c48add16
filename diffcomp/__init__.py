"""diffcomp: an image codec whose decoder is a conditional diffusion model.

                    bits of z               bits of y
                       |                       |
    x --g_a--> y --h_a--> z_hat --h_s--> mean, scale --> y_hat --context decoder--> context, base
                                                                       |
                               x_T --DDIM, each step a score network given context--> x_hat

After Yang and Mandt, "Lossy Image Compression with Conditional Diffusion Models" (NeurIPS 2023).

Where to read, from a photograph to its file and back:

    stage                                      file
    command line, image files                  cli.py, image_file.py (atomic_file, color_conversion)
    compress and decompress, step by step      codec.py (inference: its compiled programs)
    symbols and table indexes, in integers     latent_coder.py (entropy_parameters, fixed_point)
    range coder over integer tables            range_coder.py (cdf_tables)
    the .dfc container                         bitstream.py
    diffusion sampling                         sampler.py (noise_schedule)
    networks                                   model.py (transforms, hyperprior, score_network)
    the published networks and weights         cdc_model.py, cdc_import.py
    training                                   train_loop.py (losses, train_step)
    training images                            input_pipeline.py (crop_slots, image_sources)
    tables, plots and report of many codecs    evaluation/ (see its __init__.py)

Names used everywhere:

    x, x_hat        image, reconstruction: float [B, H, W, 3] in [-1, 1]; uint8 at the edges
    y, z            latent [B, H/16, W/16, C], hyper-latent [B, H/64, W/64, D]
    y_hat, z_hat    the same after quantisation
    symbols         the integers that are coded; indexes: the CDF table of each
    bits, bpp       information; bits of the real file per pixel
    bpp_estimate    the model's -log2 p per pixel
    lmbda, rho      weight of distortion against rate (of the rate, in the published model), and
                    of perception within distortion
    quality         q in [1, 8], picks lmbda and the gains; realism: r in [0, 1], picks rho
    x_t, eps        noised image, its noise; t in [0, 1], 0 is clean
    alpha_bar       alpha(t)^2, the share of signal in x_t
"""

from typing import TYPE_CHECKING, Any

from diffcomp.coding.bitstream import BitstreamError

if TYPE_CHECKING:
    from diffcomp.codec import Codec, load

__version__ = "0.1.0"
__all__ = ["BitstreamError", "Codec", "load"]


def __getattr__(name: str) -> Any:
    # `load` and `Codec` bring in JAX: only when they are asked for, so `diffcomp --help` is quick.
    if name in ("Codec", "load"):
        from diffcomp import codec

        return getattr(codec, name)
    raise AttributeError(f"module 'diffcomp' has no attribute {name!r}")
