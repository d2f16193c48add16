"""Validation during training: estimated rate and error at fixed qualities on fixed images."""

import csv
import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from diffcomp.config import Config, DataConfig
from diffcomp.image_sources import validation_images
from diffcomp.losses import mse_255, rate_terms
from diffcomp.model import FlatParams, network, variables_of
from diffcomp.noise_schedule import alpha_bar_cosine
from diffcomp.perceptual import load_lpips, lpips
from diffcomp.pixels import to_float
from diffcomp.transforms import Z_STRIDE

log = logging.getLogger(__name__)

QUALITIES = (2.0, 4.0, 6.0)
SIDE = 512  # centre crop, pixels
IMAGES = 12


class Validation:
    """Rows (step, quality, estimated bpp, PSNR of base and x_0, LPIPS) to validation.csv."""

    def __init__(self, config: Config, workdir: Path):
        self._file = workdir / "validation.csv"
        self._images = _centre_crops(config.data)
        self._weights = load_lpips("alex") if self._images else None
        model = network(config.model)

        def measure(params: FlatParams, image: jax.Array, quality: jax.Array) -> dict:
            variables, x = variables_of(params), to_float(image)
            one = jnp.ones(1)
            latents = model.apply(variables, x, quality, method="encode")
            rate = model.apply(variables, latents, quality, method="rate")
            context = model.apply(variables, rate.y_hat, quality, method="decode_context")
            # One step from the mean of the noise: what gamma = 0 and steps = 1 decode.
            zero = jnp.zeros_like(x)
            args = (zero, one, alpha_bar_cosine(one), context, quality)
            sharp = model.apply(variables, *args, one, method="denoise")
            exact = model.apply(variables, *args, 0 * one, method="denoise")
            return rate_terms(rate, x) | {
                "mse_base": mse_255(x, context.base),
                "mse_realism0": mse_255(x, exact),
                "mse_realism1": mse_255(x, sharp),
                "lpips_base": lpips(self._weights, x, jnp.clip(context.base, -1, 1)),
                "lpips_realism1": lpips(self._weights, x, jnp.clip(sharp, -1, 1)),
            }

        self._measure = jax.jit(measure)

    def run(self, step: int, params: FlatParams, writer: object) -> None:
        """Measures `params`, writes scalars and a CSV row per quality."""
        for quality in QUALITIES if self._images else ():
            rows = [self._measure(params, im[None], jnp.full(1, quality)) for im in self._images]
            means = {}
            for name in rows[0]:
                values = np.array([float(row[name][0]) for row in rows])
                if name.startswith("mse_"):
                    # PSNR per image, then the mean: the field's averaging rule.
                    name, values = name.replace("mse", "psnr"), 10 * np.log10(255**2 / values)
                means[name] = float(values.mean())
            scalars = {f"validation/q{quality:g}_{k}": v for k, v in means.items()}
            writer.write_scalars(step, scalars)
            log.info("validation q=%g %s", quality, _shown(means))
            shown = {name: f"{value:.6g}" for name, value in means.items()}
            self._append({"step": step, "quality": f"{quality:g}"} | shown)

    def _append(self, row: dict) -> None:
        new = not self._file.exists()
        with self._file.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)


def _shown(means: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in means.items())


def _centre_crops(config: DataConfig) -> list[np.ndarray]:
    """The first IMAGES images, cropped to at most SIDE and to multiples of 64.

    Raises ValueError for a smaller image, and what `read_image` raises for one that is broken.
    """
    if not config.validation:
        return []
    crops = []
    for name, image in validation_images(config.validation, IMAGES, config.tfds_dir):
        height, width = (min(SIDE, n // Z_STRIDE * Z_STRIDE) for n in image.shape[:2])
        if not height or not width:
            raise ValueError(
                f"{name} is {image.shape[1]}x{image.shape[0]}; a validation image has sides of"
                f" {Z_STRIDE} or more."
            )
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        crops.append(image[top : top + height, left : left + width])
    return crops
