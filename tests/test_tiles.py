"""Large pictures: what each stage sees, tiles against the whole picture, and what is refused."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
import tiny_model
from golden_streams import FOLDER
from golden_streams import codec as codec_of
from small_model import MODEL as SMALL

from diffcomp import codec_programs, network_programs, tiled_programs
from diffcomp.architectures.base import BaseArchitecture
from diffcomp.architectures.parameters import param_shapes
from diffcomp.architectures.published import PublishedArchitecture
from diffcomp.architectures.registry import ARCHITECTURES, BASE
from diffcomp.codec import Codec
from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.flat_areas import paint
from diffcomp.coding.grid import positions, whole_blocks
from diffcomp.coding.latent_coder import to_symbols
from diffcomp.decode_settings import DecodeSettings
from diffcomp.networks import stages
from diffcomp.networks.config import ModelConfig
from diffcomp.tiling import Stage

QUALITY = 4.0
SIDE = 192  # of windows in tests: the tiny model sees up to 48 pixels far in a stage


@pytest.fixture
def small_windows(monkeypatch) -> None:
    """Pictures of a few hundred pixels are computed in tiles."""
    monkeypatch.setattr(stages, "SIDE", SIDE)
    monkeypatch.setattr(stages, "STRIP", SIDE)
    monkeypatch.setattr(stages, "WIDTH", 256)
    monkeypatch.setattr(BaseArchitecture, "whole_pixels", SIDE * SIDE)


@pytest.fixture(scope="module")
def tiny() -> Codec:
    return tiny_model.codec()


def picture(height: int, width: int) -> np.ndarray:
    image = skimage.data.astronaut()
    below, right = max(0, height - 512), max(0, width - 512)
    return np.pad(image, ((0, below), (0, right), (0, 0)), mode="symmetric")[:height, :width]


# What a stage sees


def all_stages(config: ModelConfig) -> tuple[Stage, ...]:
    return stages.encode_stages(config) + stages.decode_stages(config, "x_next")


def random_windows(config: ModelConfig, stage: Stage, height: int, seed: int) -> list[np.ndarray]:
    """Inputs of a stage in a window 64 pixels wide."""
    w4, w8, w16 = config.widths
    channels = {"x": 3, "x_t": 3, "base": 3, "y": config.latent_channels}
    channels |= {"y_hat": config.latent_channels, "e8": w8, "e16": w16}
    channels |= {"c4": w4, "c8": w8, "c16": w16, "skip4": w4, "skip8": w8, "h16": w16}
    strides = {each.name: each.stride for each in all_stages(config)} | {"x": 1, "x_t": 1}
    strides["y_hat"] = 16
    rng = np.random.default_rng(seed)
    windows = []
    for name in stage.inputs:
        shape = (height // strides[name], 64 // strides[name], channels[name])
        values = rng.normal(0, 1, shape).astype(np.float32)
        windows.append(rng.integers(0, 256, shape, np.uint8) if name == "x" else values)
    return windows


def stage_program(config: ModelConfig, stage: Stage):
    """(params, windows) -> the stage's map, compiled."""
    quality, zero, one = jnp.float32(QUALITY), jnp.int32(0), jnp.float32(1)
    common, origin = (config, stage.name, "float32"), jnp.zeros(2, jnp.int32)
    level = (zero, one, jnp.float32(1e-5), jnp.float32(0.5))
    knobs = (quality, one, one, jnp.uint32(0))

    def run(params, windows):
        if stage.program == "encode_stage":
            return network_programs.encode_stage(config, stage.name, params, quality, *windows)
        if stage.program == "context_stage":
            return network_programs.context_stage(*common, params, quality, *windows)
        return network_programs.score_stage(*common, params, level, knobs, origin, *windows)

    return jax.jit(run)


@pytest.fixture(scope="module")
def models() -> dict[str, tuple[ModelConfig, dict]]:
    """A random small model, of more blocks in one place than in another, and the shipped one."""
    small = dataclasses.replace(
        SMALL, encoder_depths=(2, 1, 1), context_depths=(1, 2, 1), score_depths=(1, 1, 2)
    )
    shipped, rng = codec_of("base").model, np.random.default_rng(0)
    params = {
        path: jnp.asarray(rng.normal(0, 0.3, form.shape), form.dtype)
        for path, form in param_shapes(small).items()
    }
    return {
        "small": (small, params),
        "base": (shipped.config, {k: jnp.asarray(v) for k, v in shipped.params.items()}),
    }


@pytest.mark.parametrize("name", [stage.name for stage in all_stages(SMALL)])
@pytest.mark.parametrize("model", ["small", "base"])
def test_a_stage_sees_as_far_as_its_margin_and_no_further(models, model: str, name: str) -> None:
    """All inputs change from one row on, or up to it; which outputs do?"""
    config, params = models[model]
    stage = next(each for each in all_stages(config) if each.name == name)
    height = 2 * positions(stage.margin + 16, 64) * 64
    middle = height // 2
    run = stage_program(config, stage)
    before, other = (random_windows(config, stage, height, seed) for seed in (0, 1))
    below = [
        np.concatenate([b[: len(b) // 2], o[len(b) // 2 :]])
        for b, o in zip(before, other, strict=True)
    ]
    above = [
        np.concatenate([o[: len(b) // 2], b[len(b) // 2 :]])
        for b, o in zip(before, other, strict=True)
    ]
    same, changed_below, changed_above = (
        np.asarray(run(params, w)) for w in (before, below, above)
    )
    rows = np.flatnonzero(np.any(changed_below != same, axis=(1, 2)))
    first = rows[0] * stage.stride
    assert middle - stage.margin <= first < middle - stage.margin + stage.grain
    rows = np.flatnonzero(np.any(changed_above != same, axis=(1, 2)))
    last = (rows[-1] + 1) * stage.stride
    assert middle + stage.margin - stage.grain < last <= middle + stage.margin


# Tiles against the whole


def whole_latents(codec: Codec, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = image.shape[:2]
    below, right = whole_blocks(height) - height, whole_blocks(width) - width
    padded = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
    y, z = codec_programs.encode_latents(
        codec.model.config, codec.networks.encode_params, padded, QUALITY
    )
    return y[: positions(height, 16), : positions(width, 16)], z


def whole_picture(
    codec: Codec, y_hat: np.ndarray, size: tuple, settings: DecodeSettings
) -> np.ndarray:
    missing = [whole_blocks(side) // 16 - n for side, n in zip(size, y_hat.shape, strict=False)]
    padded = np.pad(y_hat, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    common = codec.model.config, codec.networks.decode_params
    whole = codec_programs.synthesize(*common, padded, QUALITY, settings)
    return whole[: size[0], : size[1]]


# All of one shape of windows: three by three and more, the last rows and columns of each kind.
SIZES = [(385, 447), (400, 448), (448, 401)]


@pytest.mark.parametrize("size", SIZES)
def test_latents_of_tiles_are_those_of_the_whole(tiny, small_windows, size: tuple) -> None:
    image = picture(*size)
    y, z = tiny.networks.encode(image, 96)
    whole_y, whole_z = whole_latents(tiny, image)
    assert (y.shape, z.shape) == (whole_y.shape, whole_z.shape)
    np.testing.assert_allclose(y, whole_y, atol=2e-5)
    np.testing.assert_allclose(z, whole_z, atol=2e-4)
    ties = np.sum(to_symbols(z) != to_symbols(whole_z))
    assert ties <= 1e-4 * z.size


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        (SIZES[0], DecodeSettings()),
        (SIZES[1], DecodeSettings(gamma=0.8, seed=5)),
        (SIZES[2], DecodeSettings(steps=3, gamma=0.8, eta=0.5, realism=0.5)),
    ],
    ids=["one step", "noise", "three steps"],
)
def test_tiles_are_the_whole_picture(tiny, small_windows, size: tuple, settings) -> None:
    settings = tiny.decode_settings(settings)
    data = tiny.compress(picture(*size), QUALITY)
    tiled = tiny.decode(data, settings)
    content = tiny.read(data)
    whole = whole_picture(tiny, content.y_hat, size, settings)
    paint(whole, content.flat_areas)
    assert tiled.shape == (*size, 3)
    difference = np.abs(tiled.astype(int) - whole)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-3
    assert whole.std() > 20


def test_noise_does_not_hang_on_the_picture_around(tiny, small_windows) -> None:
    """x_T of a pixel is that of its place, in a picture of tiles and in one of a few pixels."""
    settings = tiny.decode_settings(DecodeSettings(gamma=1.0, realism=1.0))
    y_hat = np.zeros((28, 28, len(tiny.model.coder.steps(96))), np.float32)
    common = tiny.model.config, tiny.networks.decode_params
    tiled = tiled_programs.synthesize(*common, y_hat, (448, 448), QUALITY, settings)
    small = codec_programs.synthesize(*common, y_hat[:20, :20], QUALITY, settings)
    inner = (slice(0, 128), slice(0, 128))  # out of sight of where the small one ends
    difference = np.abs(tiled[inner].astype(int) - small[inner])
    assert difference.max() <= 1
    assert small[inner].std() > 5


def test_picture_one_pixel_high_and_as_wide_as_can_be(tiny) -> None:
    image = np.resize(picture(64, 512), (1, 65535, 3))
    assert math.prod(tiny.networks.padded_size(1, 65535)) > BASE.whole_pixels
    decoded = tiny.decompress(tiny.compress(image, 8), realism=0)
    assert decoded.shape == image.shape
    # A row of 16x16 pixels that are all the same is nothing that the tiny model knows.
    assert np.mean(np.abs(decoded.astype(int) - image)) < 0.7 * image.std()


def test_progress_is_told_both_ways(tiny, small_windows) -> None:
    told: list[tuple[int, int]] = []
    data = tiny.compress(picture(400, 448), progress=lambda *tiles: told.append(tiles))
    assert told[-1][0] == told[-1][1] == len(told) > 10
    told.clear()
    tiny.decompress(data, steps=3, progress=lambda *tiles: told.append(tiles))
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert told[-1][1] == len(told) > 30


# What is refused


def test_limit_on_pixels(tiny, photo) -> None:
    data = tiny.compress(photo, max_pixels=96 * 128)
    message = "the image is too large: 128 x 96 = 12288 pixels, at most 12287 are allowed"
    with pytest.raises(ValueError, match=message):
        tiny.compress(photo, max_pixels=96 * 128 - 1)
    with pytest.raises(BitstreamError, match=message):
        tiny.decompress(data, max_pixels=96 * 128 - 1)
    assert tiny.decompress(data, max_pixels=96 * 128).shape == photo.shape
    for limit in (0, bitstream.MAX_PIXELS + 1, 1e6):
        with pytest.raises(ValueError, match="max_pixels must be an integer from 1 to"):
            tiny.compress(photo, max_pixels=limit)
        with pytest.raises(ValueError, match="max_pixels must be an integer from 1 to"):
            tiny.decompress(data, max_pixels=limit)


def test_networks_that_see_the_whole_picture_refuse_large_ones(monkeypatch) -> None:
    model = codec_of("xparam_tiny")
    golden = bitstream.unpack((FOLDER / "xparam_tiny.dfc").read_bytes())
    image = np.zeros((golden.height, golden.width, 3), np.uint8)
    monkeypatch.setattr(PublishedArchitecture, "whole_pixels", 192 * 192 - 1)
    message = r"too large for model .*: 169 x 130, padded to 36864 pixels; at most 36863"
    with pytest.raises(ValueError, match=message):
        model.compress(image)
    # Imported anew, its integers may be others than the file's: see golden_streams.py.
    ours = dataclasses.replace(golden, fingerprint=model.model.coder.fingerprint)
    with pytest.raises(BitstreamError, match=message):
        model.decompress(bitstream.pack(ours))


def test_every_family_says_what_is_too_large() -> None:
    for architecture in ARCHITECTURES.values():
        assert 2**20 <= architecture.whole_pixels < bitstream.MAX_PIXELS
