import csv
import dataclasses
import logging
import math
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from diffcomp.config import Config, from_mapping
from diffcomp.image_file import ImageError
from diffcomp.model import CompressionModel, init_params, variables_of
from diffcomp.validation import QUALITIES, Validation

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SMOKE = from_mapping(Config, runpy.run_path(str(CONFIGS / "base.py"))["get_config"]("smoke"))


class Writer:
    """Keeps the scalars that it is given."""

    def __init__(self):
        self.written = {}

    def write_scalars(self, step, scalars):
        self.written |= {(step, name): value for name, value in scalars.items()}


def config(folder):
    data = dataclasses.replace(SMOKE.data, validation=f"folder:{folder}" if folder else "")
    return dataclasses.replace(SMOKE, data=data)


def rows(workdir):
    with (workdir / "validation.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def save(folder, name, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)
    return pixels


@pytest.fixture(scope="module")
def params():
    """Random weights whose reconstructions are poor, but not equally so."""
    shapes = jax.eval_shape(lambda: init_params(SMOKE.model, jax.random.key(0)))
    rng = np.random.default_rng(0)
    return {p: jnp.asarray(0.1 * rng.normal(size=v.shape), "float32") for p, v in shapes.items()}


@pytest.fixture(scope="module")
def measured(tmp_path_factory, params):
    """Two images, of which one is much harder; what was written of them, twice."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    images = [
        save(folder, "flat.png", np.full((64, 64, 3), 128, np.uint8)),
        save(folder, "noise.png", rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)),
    ]
    workdir, writer = tmp_path_factory.mktemp("run"), Writer()
    validation = Validation(config(folder), workdir)
    validation.run(2_000_001, params, writer)
    Validation(config(folder), workdir).run(2_000_002, params, writer)
    return images, workdir, writer


def test_there_is_a_row_for_each_quality_and_step(measured):
    _, workdir, _ = measured
    found = [(row["step"], row["quality"]) for row in rows(workdir)]
    assert found == [(step, q) for step in (2_000_001, 2_000_002) for q in QUALITIES]
    assert all(math.isfinite(value) for row in rows(workdir) for value in row.values())
    header = (workdir / "validation.csv").read_text().splitlines()[0].split(",")
    assert header[:3] == ["step", "quality", "bpp"]
    assert {"psnr_base", "psnr_realism0", "psnr_realism1", "lpips_realism1"} <= set(header)


def test_the_same_numbers_go_to_the_writer(measured):
    _, workdir, writer = measured
    for row in rows(workdir):
        for name in row.keys() - {"step", "quality"}:
            scalar = writer.written[int(row["step"]), f"validation/q{row['quality']:g}_{name}"]
            assert scalar == pytest.approx(row[name], rel=1e-5)


def test_measuring_again_gives_the_same(measured):
    _, workdir, _ = measured
    table = rows(workdir)
    for first, second in zip(table[: len(QUALITIES)], table[len(QUALITIES) :], strict=True):
        assert first | {"step": 0} == second | {"step": 0}


def test_psnr_is_averaged_over_images_and_so_are_rates(measured, params):
    images, workdir, _ = measured
    model = CompressionModel(SMOKE.model)

    @jax.jit
    def measure(x, quality):
        variables = variables_of(params)
        latents = model.apply(variables, x, quality, method="encode")
        rate = model.apply(variables, latents, quality, method="rate")
        base = model.apply(variables, rate.y_hat, quality, method="decode_context").base
        return base, rate.bits_y + rate.bits_z

    for row in rows(workdir)[: len(QUALITIES)]:
        psnrs, bpps = [], []
        for image in images:
            x = jnp.asarray(image[None], jnp.float32) / 127.5 - 1
            base, bits = measure(x, jnp.full(1, row["quality"]))
            error = 127.5 * np.asarray(base, np.float64)[0] + 127.5 - image
            psnrs.append(10 * math.log10(255**2 / np.mean(error**2)))
            bpps.append(float(bits[0]) / 64**2)
        assert abs(psnrs[0] - psnrs[1]) > 0.1
        assert row["psnr_base"] == pytest.approx(np.mean(psnrs), abs=1e-3)
        assert row["bpp"] == pytest.approx(np.mean(bpps), rel=1e-3)


def test_images_are_cropped_at_their_centre_to_multiples_of_64(measured, params, tmp_path):
    images, workdir, _ = measured
    wide = np.random.default_rng(2).integers(0, 256, (100, 127, 3), dtype=np.uint8)
    wide[18:82, 31:95] = images[1]
    save(tmp_path / "photos", "flat.png", images[0])
    save(tmp_path / "photos", "wide.png", wide)
    Validation(config(tmp_path / "photos"), tmp_path).run(2_000_001, params, Writer())
    assert rows(tmp_path) == rows(workdir)[: len(QUALITIES)]


def test_without_validation_images_nothing_is_written(tmp_path, params, caplog):
    caplog.set_level(logging.INFO)
    writer = Writer()
    Validation(config(""), tmp_path).run(1, params, writer)
    assert not list(tmp_path.iterdir())
    assert not writer.written
    assert not caplog.records


def test_an_image_that_is_too_small_is_refused_by_name(tmp_path):
    save(tmp_path, "small.png", np.zeros((63, 200, 3), np.uint8))
    with pytest.raises(
        ValueError, match=r"small\.png is 200x63; a validation image has sides of 64 or more"
    ):
        Validation(config(tmp_path), tmp_path)


def test_a_broken_image_is_refused_at_the_start(tmp_path):
    (tmp_path / "broken.png").write_text("This is no picture.")
    with pytest.raises(ImageError, match=r"broken\.png"):
        Validation(config(tmp_path), tmp_path)


def test_images_may_come_from_tfds(tmp_path, tiny_tfds):
    data = dataclasses.replace(
        SMOKE.data, validation="tfds:tiny_photos/pairs/train", tfds_dir=str(tiny_tfds)
    )
    with pytest.raises(ValueError, match="tfds:tiny_photos/pairs/train image 0 is 56x40; a valid"):
        Validation(dataclasses.replace(SMOKE, data=data), tmp_path)
