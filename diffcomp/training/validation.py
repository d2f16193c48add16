"""Validation during training: what a user would get of the model, measured on fixed images.

The weights are exported as for release, and the images are compressed to real files and decoded.
"""

import dataclasses
import io
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from etils import epath
from PIL import Image

from diffcomp.architectures.registry import architecture_of
from diffcomp.codec import Codec
from diffcomp.coding.grid import Z_STRIDE
from diffcomp.data.image_sources import validation_images
from diffcomp.decode_settings import DecodeSettings
from diffcomp.distances.distortion import bpp, mse, psnr
from diffcomp.distances.lpips import lpips_of_images
from diffcomp.distances.lpips_weights import load_lpips
from diffcomp.export import exported_model
from diffcomp.files.run_folder import append_rows, replace_bytes
from diffcomp.params import Params
from diffcomp.training.config import Config
from diffcomp.training.metric_writers import MetricWriter

log = logging.getLogger(__name__)

Row = dict[str, float]


class Measured(NamedTuple):
    """The files of one quality."""

    means: Row  # over the images, by column
    panels: np.ndarray  # uint8 [N, H, W, 3], original and decoded side by side


class Validation:
    """Compresses and decodes the images of a config, and writes what came out.

    `validation.csv` has one row per validation and quality, of means over the images:

        step                   training steps so far
        quality                1 to 8; empty if the model has one rate
        bpp                    bits of the whole file per pixel
        bpp_estimate           bits per pixel that the float model expects
        psnr_realism0, _1      dB, decoded at realism 0 and 1; inf if an image is decoded exactly
        lpips_realism1         LPIPS-Alex, decoded at realism 1
        score                  the architecture's `file_score`, of realism 1

    A model without a realism knob has `psnr` and `lpips` instead. A step repeated after a crash is
    repeated here: the later row holds. The same values go to the writer as
    "validation/q4_bpp" or, of one rate, "validation/bpp", with the mean "validation/score".

    `panels/STEP_q4.png`, or `panels/STEP.png`, shows the first images, one below the other:
    original | realism 0 | realism 1, or original | decoded. The writer gets them as
    "validation/q4" or "validation/decoded".
    """

    def __init__(self, config: Config, workdir: epath.Path | Path):
        """Reads the images; `workdir` must exist when `run` is called, and may be on a bucket.

        Raises ValueError for an image that is too small and for settings that no decoder takes,
        and what `validation_images` raises.
        """
        self._config = config
        self._workdir = epath.Path(workdir)
        self._images = _centre_crops(config)
        self._decodes = _decodes(config)
        if self._images:
            load_lpips("alex")  # an ImportError now, not in the middle of the training

    def run(self, step: int, params: Params, writer: MetricWriter) -> float | None:
        """Measures `params`, whole arrays on this host; returns the mean score over qualities.

        None without images, and, after a warning that says why, if these weights or this machine
        cannot code them: early in training latents may be infinite, or weights too large.
        Calls no collectives, so one process of several may run it alone.
        """
        if not self._images:
            return None
        try:
            measured = self._measure(params)
        except (ValueError, ImportError) as error:
            log.warning("no validation at step %d: %s", step, error)
            return None
        scalars: Row = {}
        for quality, (means, _) in measured.items():
            prefix = "validation/" if quality is None else f"validation/{_label(quality)}_"
            scalars |= {prefix + name: value for name, value in means.items()}
            shown = " ".join(f"{name} {value:.4g}" for name, value in means.items())
            log.info("validation %s", shown if quality is None else f"{_label(quality)} {shown}")
        mean_score = float(np.mean([of_quality.means["score"] for of_quality in measured.values()]))
        writer.write_scalars(step, scalars | {"validation/score": mean_score})
        self._append_rows(step, {q: of_quality.means for q, of_quality in measured.items()})
        if self._config.validation.panels:
            for quality, (_, panels) in measured.items():
                self._write_panels(step, quality, panels, writer)
        return mean_score

    def _measure(self, params: Params) -> dict[float | None, Measured]:
        """Means and panels by quality; raises ValueError or ImportError if it cannot be coded."""
        for path, value in params.items():
            if not np.isfinite(value).all():
                raise ValueError(f"parameter {path} is not finite.")
        config = self._config
        codec = Codec(exported_model.export("validation", config.model, params, {}, config.decode))
        measured = {}
        for quality in config.validation.qualities or (None,):
            images = [self._measure_image(codec, image, quality) for image in self._images]
            rows = [row for row, _ in images]
            means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
            panels = [panel for _, panel in images[: config.validation.panels]]
            measured[quality] = Measured(means, _stack(panels))
        return measured

    def _measure_image(
        self, codec: Codec, image: np.ndarray, quality: float | None
    ) -> tuple[Row, np.ndarray]:
        """The values of one file, and its panel, uint8 [H, n W, 3]."""
        data = codec.compress(image, quality)
        decoded = {name: codec.decode(data, how) for name, how in self._decodes.items()}
        row = {
            "bpp": bpp(len(data), *image.shape[:2]),
            "bpp_estimate": codec.bpp_estimate(image, quality),
        }
        row |= {f"psnr{name}": psnr(x_hat, image) for name, x_hat in decoded.items()}
        name, x_hat = list(decoded.items())[-1]
        row[f"lpips{name}"] = distance = lpips_of_images("alex", x_hat, image)
        file_score = architecture_of(self._config.model).file_score
        row["score"] = file_score(
            self._config.loss, quality, row["bpp"], mse(x_hat, image), distance
        )
        return row, np.concatenate([image, *decoded.values()], axis=1)

    def _append_rows(self, step: int, means: dict[float | None, Row]) -> None:
        header = ("step", "quality", *next(iter(means.values())))
        rows = [
            (step, "" if q is None else f"{q:g}", *(f"{value:.6g}" for value in row.values()))
            for q, row in means.items()
        ]
        append_rows(self._workdir / "validation.csv", header, rows)

    def _write_panels(
        self, step: int, quality: float | None, panels: np.ndarray, writer: MetricWriter
    ) -> None:
        label = "decoded" if quality is None else _label(quality)
        writer.write_images(step, {f"validation/{label}": panels})
        folder = self._workdir / "panels"
        folder.mkdir(exist_ok=True)
        file = io.BytesIO()
        Image.fromarray(panels.reshape(-1, *panels.shape[2:])).save(file, "PNG")
        name = f"{step:07d}.png" if quality is None else f"{step:07d}_{label}.png"
        replace_bytes(folder / name, file.getvalue())


def _decodes(config: Config) -> dict[str, DecodeSettings]:
    """How a file is decoded: name of the way, as a suffix -> settings. The last way is scored."""
    steps = config.validation.steps or config.decode.steps
    settings = DecodeSettings(steps=steps, gamma=config.decode.gamma).checked()
    if architecture_of(config.model).one_rate:
        return {"": settings}
    return {
        f"_realism{realism}": dataclasses.replace(settings, realism=realism) for realism in (0, 1)
    }


def _label(quality: float) -> str:
    return f"q{quality:g}"


def _stack(panels: list[np.ndarray]) -> np.ndarray:
    """Panels [h, w, 3] -> uint8 [N, H, W, 3], smaller ones filled up with black."""
    sides = np.max([panel.shape[:2] for panel in panels], axis=0) if panels else (0, 0)
    stacked = np.zeros((len(panels), *sides, 3), np.uint8)
    for target, panel in zip(stacked, panels, strict=True):
        target[: panel.shape[0], : panel.shape[1]] = panel
    return stacked


def _centre_crops(config: Config) -> list[np.ndarray]:
    """The first images, cropped to at most `validation.side` and to multiples of 64.

    Raises ValueError for a smaller image, and what `read_image` raises for one that is broken.
    """
    source, chosen = config.data.validation, config.validation
    if not source:
        return []
    crops = []
    for name, image in validation_images(source, chosen.images, config.data.tfds_dir):
        height, width = (min(chosen.side, n) // Z_STRIDE * Z_STRIDE for n in image.shape[:2])
        if not height or not width:
            raise ValueError(
                f"{name} is {image.shape[1]}x{image.shape[0]}; a validation image has sides of"
                f" {Z_STRIDE} or more."
            )
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        crops.append(image[top : top + height, left : left + width])
    return crops
