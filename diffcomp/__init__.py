"""diffcomp: an image codec whose decoder is a conditional diffusion model.

                    bits of z               bits of y
                       |                       |
    x --g_a--> y --h_a--> z_hat --h_s--> mean, scale --> y_hat --context decoder--> context, base
                                                                       |
                               x_T --DDIM, each step a score network given context--> x_hat

After Yang and Mandt, "Lossy Image Compression with Conditional Diffusion Models" (NeurIPS 2023).

Where to read, from a photograph to its file and back:

    stage                                      file
    command line, image files                  commands/compress.py, files/image_file.py
    compress and decompress, step by step      codec.py
    networks, at once or in tiles              codec_networks.py (codec_programs, tiled_programs)
    symbols and table indexes, in integers     coding/latent_coder.py
    range coder over integer tables            coding/range_coder.py
    areas of one colour                        coding/flat_areas.py
    the .dfc container                         coding/bitstream.py
    diffusion sampling                         diffusion/sampler.py

Rooms, each with a table of its files in its `__init__.py`; docs/architecture.md says which may
import from which:

    coding/        latents to bits and back, in exact integers
    diffusion/     noise levels, sampler
    files/         pictures and weights on disk
    distances/     LPIPS, DISTS and others, for training and evaluation
    networks/      the base model's networks; published/ those of the paper
    objectives/    what training minimises
    architectures/ all that the rest must know of a family of networks
    export/        a trained model as files
    exported_programs/  its networks as StableHLO programs, which run without their code
    data/          training images
    training/      the loop, the sharded step, checkpoints, validation
    profiling/     where time goes
    evaluation/    models and other codecs, measured: tables, plots, report
    commands/      the sub-commands of `diffcomp`

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
    gamma, eta      deviation of the noise that decoding starts from; fresh noise in each step
    context, base   what the decoder makes of y_hat: maps for the score network; the reconstruction
                    of least squared error, which the score network corrects
    coding part     the integers of a model that files depend on; its fingerprint stands in a file
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffcomp.codec import Codec, load
    from diffcomp.coding.bitstream import BitstreamError
    from diffcomp.coding.file_info import FileInfo, file_info
    from diffcomp.decode_settings import DecodeSettings
    from diffcomp.export.shipped_models import ModelError

__version__ = "0.1.0"
__all__ = [
    "BitstreamError",
    "Codec",
    "DecodeSettings",
    "FileInfo",
    "ModelError",
    "file_info",
    "load",
]

# Imported when they are asked for: `load` and `Codec` bring in JAX, the others NumPy.
_ORIGINS = {
    "BitstreamError": "coding.bitstream",
    "Codec": "codec",
    "DecodeSettings": "decode_settings",
    "FileInfo": "coding.file_info",
    "ModelError": "export.shipped_models",
    "file_info": "coding.file_info",
    "load": "codec",
}


def __getattr__(name: str) -> Any:
    if name in _ORIGINS:
        return getattr(importlib.import_module(f"diffcomp.{_ORIGINS[name]}"), name)
    raise AttributeError(f"module 'diffcomp' has no attribute {name!r}")
