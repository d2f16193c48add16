"""Real files of small images, by the smoke configuration and by a tiny published model."""

import csv
import dataclasses
import logging
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from PIL import Image
from small_model import CDC_LOSS

from diffcomp.architectures.parameters import init_params
from diffcomp.codec import Codec
from diffcomp.config import from_mapping
from diffcomp.decode_settings import DecodeConfig
from diffcomp.distances.distortion import bpp, mse, psnr
from diffcomp.distances.lpips import lpips
from diffcomp.distances.lpips_weights import load_lpips
from diffcomp.export import exported_model
from diffcomp.export.published_import import load_cdc
from diffcomp.files.image_file import ImageError
from diffcomp.objectives.base import file_score
from diffcomp.training.config import Config
from diffcomp.training.validation import Validation

TESTS = Path(__file__).resolve().parent
BASE = TESTS.parent / "configs" / "base.py"
SMOKE = from_mapping(Config, runpy.run_path(str(BASE))["get_config"]("smoke"))
QUALITIES = SMOKE.validation.qualities


class Writer:
    """Keeps the scalars and images that it is given; like the real ones, each only once."""

    def __init__(self):
        self.scalars, self.images = {}, {}

    def write_scalars(self, step, scalars):
        assert not self.scalars.keys() & {(step, name) for name in scalars}
        self.scalars |= {(step, name): value for name, value in scalars.items()}

    def write_images(self, step, images):
        assert not self.images.keys() & {(step, name) for name in images}
        self.images |= {(step, name): value for name, value in images.items()}


def config(folder, base=SMOKE, **validation):
    data = dataclasses.replace(base.data, validation=f"folder:{folder}" if folder else "")
    chosen = dataclasses.replace(base.validation, **validation)
    return dataclasses.replace(base, data=data, validation=chosen)


def rows(workdir):
    with (workdir / "validation.csv").open(newline="") as file:
        return [{k: v and float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def save(folder, name, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)
    return pixels


def lpips_alex(image, reference):
    x, x_hat = (jnp.asarray(a[None], jnp.float32) / 127.5 - 1 for a in (reference, image))
    return float(jax.jit(lpips)(load_lpips("alex"), x, x_hat)[0])


@pytest.fixture(scope="module")
def params():
    """Random weights whose reconstructions are poor, but not equally so."""
    shapes = jax.eval_shape(lambda: init_params(SMOKE.model, jax.random.key(0)))
    rng = np.random.default_rng(0)
    return {p: jnp.asarray(0.1 * rng.normal(size=v.shape), "float32") for p, v in shapes.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photo):
    """Two images of 64x64, of which one is much harder."""
    folder = tmp_path_factory.mktemp("photos")
    save(folder, "face.png", np.ascontiguousarray(photo[:64, 32:96]))
    save(folder, "noise.png", np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def images(folder):
    return [np.asarray(Image.open(file)) for file in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def measured(tmp_path_factory, params, folder):
    """The scores of two validations, the second after a restart, and what they wrote."""
    workdir, writer = tmp_path_factory.mktemp("run"), Writer()
    steps = (2_000_001, 2_000_002)
    scores = [Validation(config(folder), workdir).run(s, params, writer) for s in steps]
    return scores, workdir, writer


@pytest.fixture(scope="module")
def codec(params):
    return Codec(exported_model.export("same", SMOKE.model, params, {}, SMOKE.decode))


@pytest.fixture(scope="module")
def cdc_run(tmp_path_factory, folder):
    """The same of one published model, decoded in two steps although its default is 17."""
    model, params = load_cdc(TESTS / "golden" / "cdc" / "xparam_tiny.pt")
    decode = DecodeConfig(steps=17, gamma=0.8)
    base = dataclasses.replace(
        SMOKE,
        model=model,
        loss=CDC_LOSS,
        stages=(),
        decode=decode,
        validation=dataclasses.replace(SMOKE.validation, qualities=(), steps=2, panels=2),
    )
    workdir, writer = tmp_path_factory.mktemp("cdc"), Writer()
    found = Validation(config(folder, base), workdir).run(7, params, writer)
    coder = Codec(exported_model.export("same", model, params, {}, decode))
    return found, workdir, writer, coder


def test_values_are_means_over_real_files_and_their_decodes(measured, codec, images):
    _, workdir, _ = measured
    for row, quality in zip(rows(workdir), QUALITIES, strict=False):
        files = [codec.compress(image, quality) for image in images]
        exact, natural = (
            [codec.decompress(data, steps=1, realism=realism) for data in files]
            for realism in (0, 1)
        )
        expected = {
            "bpp": [bpp(len(data), 64, 64) for data in files],
            "bpp_estimate": [codec.bpp_estimate(image, quality) for image in images],
            "psnr_realism0": [psnr(*pair) for pair in zip(exact, images, strict=True)],
            "psnr_realism1": [psnr(*pair) for pair in zip(natural, images, strict=True)],
            "lpips_realism1": [lpips_alex(*pair) for pair in zip(natural, images, strict=True)],
            "score": [
                file_score(SMOKE.loss, quality, bpp(len(f), 64, 64), mse(a, b), lpips_alex(a, b))
                for f, a, b in zip(files, natural, images, strict=True)
            ],
        }
        assert abs(np.diff(expected["psnr_realism0"])[0]) > 0.1
        assert {"step", "quality"} | expected.keys() == row.keys()
        for name, values in expected.items():
            assert row[name] == pytest.approx(np.mean(values), rel=1e-5), name


def test_the_score_is_the_mean_over_qualities(measured):
    scores, workdir, writer = measured
    found = [row["score"] for row in rows(workdir)[: len(QUALITIES)]]
    assert min(found) < scores[0] < max(found)
    assert scores[0] == pytest.approx(np.mean(found), rel=1e-5)
    assert writer.scalars[2_000_001, "validation/score"] == scores[0]


def test_the_same_numbers_go_to_the_writer(measured):
    _, workdir, writer = measured
    for row in rows(workdir):
        for name in row.keys() - {"step", "quality"}:
            scalar = writer.scalars[int(row["step"]), f"validation/q{row['quality']:g}_{name}"]
            assert scalar == pytest.approx(row[name], rel=1e-5)


def test_measuring_again_gives_the_same_and_is_appended(measured):
    scores, workdir, _ = measured
    table = rows(workdir)
    assert scores[0] == scores[1]
    assert [(row["step"], row["quality"]) for row in table] == [
        (step, q) for step in (2_000_001, 2_000_002) for q in QUALITIES
    ]
    for first, second in zip(table[: len(QUALITIES)], table[len(QUALITIES) :], strict=True):
        assert first | {"step": 0} == second | {"step": 0}


def test_panels_show_the_original_and_what_is_decoded_at_both_realisms(measured, codec, images):
    _, workdir, writer = measured
    for quality in QUALITIES:
        panels = writer.images[2_000_001, f"validation/q{quality:g}"]
        assert len(panels) == SMOKE.validation.panels == 1
        original, exact, natural = np.split(panels[0], 3, axis=1)
        data = codec.compress(images[0], quality)
        np.testing.assert_array_equal(original, images[0])
        np.testing.assert_array_equal(exact, codec.decompress(data, steps=1, realism=0))
        np.testing.assert_array_equal(natural, codec.decompress(data, steps=1, realism=1))
        assert (exact != natural).any()
        picture = np.asarray(Image.open(workdir / "panels" / f"2000001_q{quality:g}.png"))
        np.testing.assert_array_equal(picture, panels[0])


def test_nothing_else_is_left_in_the_workdir(measured):
    _, workdir, _ = measured
    found = {str(path.relative_to(workdir)) for path in workdir.rglob("*") if path.is_file()}
    names = {f"panels/{s}_q{q:g}.png" for s in (2_000_001, 2_000_002) for q in QUALITIES}
    assert found == {"validation.csv"} | names


def test_images_are_cropped_at_their_centre_and_panels_of_several_sizes_are_joined(
    params, images, tmp_path
):
    """127x100 to 64x64, and 128x64 as it is: the smaller panel is filled up with black."""
    wide = np.random.default_rng(2).integers(0, 256, (100, 127, 3), dtype=np.uint8)
    wide[18:82, 31:95] = images[1]
    save(tmp_path / "photos", "a.png", wide)
    long = save(tmp_path / "photos", "b.png", np.concatenate(images, axis=1))
    chosen = config(tmp_path / "photos", side=150, qualities=(6.0,), panels=5)
    writer = Writer()
    Validation(chosen, epath.Path(tmp_path)).run(1, params, writer)
    panels = writer.images[1, "validation/q6"]
    assert panels.shape == (2, 64, 3 * 128, 3)
    np.testing.assert_array_equal(panels[0, :, :64], images[1])
    assert (panels[0, :, 3 * 64 :] == 0).all()
    np.testing.assert_array_equal(panels[1, :, :128], long)
    picture = np.asarray(Image.open(tmp_path / "panels" / "0000001_q6.png"))
    np.testing.assert_array_equal(picture, np.concatenate(panels))


def test_as_many_images_as_told_and_no_panels(measured, params, folder, codec, images, tmp_path):
    writer = Writer()
    chosen = config(folder, images=1, qualities=(6.0,), panels=0)
    Validation(chosen, tmp_path).run(1, params, writer)
    assert rows(tmp_path)[0]["bpp"] == pytest.approx(
        bpp(len(codec.compress(images[0], 6.0)), 64, 64), rel=1e-5
    )
    assert not writer.images
    assert [path.name for path in tmp_path.iterdir()] == ["validation.csv"]


def test_a_model_of_one_rate_has_one_row_and_its_own_loss(cdc_run, images):
    found, workdir, writer, coder = cdc_run
    files = [coder.compress(image) for image in images]
    decoded = [coder.decompress(data, steps=2) for data in files]
    pairs = list(zip(decoded, images, strict=True))
    rates = [bpp(len(data), 64, 64) for data in files]
    distances = [lpips_alex(*pair) for pair in pairs]
    losses = [
        0.05 * rate + 0.1 * mse(*pair) / 127.5**2 + 0.9 * distance
        for rate, pair, distance in zip(rates, pairs, distances, strict=True)
    ]
    expected = {
        "bpp": np.mean(rates),
        "bpp_estimate": np.mean([coder.bpp_estimate(image) for image in images]),
        "psnr": np.mean([psnr(*pair) for pair in pairs]),
        "lpips": np.mean(distances),
        "score": np.mean(losses),
    }
    (row,) = rows(workdir)
    assert row.pop("quality") == ""
    assert row == pytest.approx({"step": 7} | expected, rel=1e-5)
    assert writer.scalars == pytest.approx(
        {(7, f"validation/{name}"): value for name, value in expected.items()}, rel=1e-5
    )
    assert found == pytest.approx(expected["score"], rel=1e-5)
    panels = writer.images[7, "validation/decoded"]
    for panel, pair in zip(panels, pairs, strict=True):
        np.testing.assert_array_equal(panel, np.concatenate(pair[::-1], axis=1))
    picture = np.asarray(Image.open(workdir / "panels" / "0000007.png"))
    np.testing.assert_array_equal(picture, np.concatenate(panels))


def test_without_steps_of_its_own_validation_decodes_with_those_of_decode(
    measured, params, folder, tmp_path
):
    """One step is what the smoke configuration validates with, by a setting of its own."""
    assert SMOKE.validation.steps == 1
    base = dataclasses.replace(SMOKE, decode=DecodeConfig(steps=1, gamma=0.0))
    found = Validation(config(folder, base, steps=0), tmp_path).run(1, params, Writer())
    assert found == measured[0][0]


def test_the_score_of_the_base_model_is_its_loss():
    """At quality 1 and 8 lmbda is the lower and the upper of the config."""
    loss = dataclasses.replace(
        SMOKE.loss,
        lmbda_low=0.001,
        lmbda_high=0.1,
        rho_max=0.75,
        lpips_scale=100.0,
        base_weight=0.25,
        snr_weights=(2.0, 5.0),
    )
    distortion = 0.25 * 40 + 0.75 * (0.25 * 2 * 40 + 0.75 * 100 * 0.2)
    for quality, weight in ((1.0, 0.001), (4.5, 0.01), (8.0, 0.1)):
        found = file_score(loss, quality, 0.5, 40.0, 0.2)
        assert found == pytest.approx(0.5 + weight * distortion, rel=1e-5)


def broken(params, how):
    """Weights of a training that goes wrong in one of three ways."""
    spoiled = dict(params)
    if how == "not finite":
        path = "context_decoder/basis"
        spoiled[path] = spoiled[path].at[0, 0].set(jnp.nan)
    elif how == "too large":
        path = "hyperprior/parameters/convs_mix_0/kernel"
        spoiled[path] = spoiled[path] + 1e6
    else:
        path = "hyperprior/hyper_analysis/stem/kernel"
        spoiled[path] = spoiled[path] * 1e38
    return spoiled


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("not finite", "parameter context_decoder/basis is not finite."),
        ("too large", "16 bits hold at most"),
        ("latents", "y or z is not finite; the image or the weights must be corrupt."),
    ],
)
def test_weights_that_cannot_code_are_warned_of_and_leave_nothing(
    how, message, params, folder, tmp_path, caplog
):
    writer = Writer()
    found = Validation(config(folder), tmp_path).run(3, broken(params, how), writer)
    assert found is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("no validation at step 3: ")
    assert message in record.getMessage()
    assert not list(tmp_path.iterdir())
    assert not writer.scalars
    assert not writer.images


def test_a_machine_without_a_range_coder_trains_on(params, folder, tmp_path, caplog, monkeypatch):
    def missing():
        raise ImportError("coding needs another machine")

    monkeypatch.setattr("diffcomp.coding.range_coder.implementation", missing)
    assert Validation(config(folder), tmp_path).run(3, params, Writer()) is None
    assert caplog.messages == ["no validation at step 3: coding needs another machine"]


@pytest.mark.parametrize("source", [True, False])
def test_without_validation_images_nothing_is_written(source, folder, tmp_path, params, caplog):
    caplog.set_level(logging.INFO)
    writer = Writer()
    chosen = config(folder, images=0) if source else config("")
    assert Validation(chosen, tmp_path).run(1, params, writer) is None
    assert not list(tmp_path.iterdir())
    assert not writer.scalars
    assert not caplog.records


def test_settings_that_no_decoder_takes_are_refused_at_the_start(folder, tmp_path):
    with pytest.raises(ValueError, match=r"steps is 1001; it must be in \[1, 1000\]"):
        Validation(config(folder, steps=1001), tmp_path)


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
