"""Tests of the codec from image to bytes and back, and of the committed golden file.

UPDATE_GOLDEN=1 pytest tests/test_codec.py makes the golden files again; see golden/README.md.
"""

import dataclasses
import json
import math
import os

import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
import tiny_model
from child_processes import run_script
from PIL import Image

import diffcomp
from diffcomp import codec
from diffcomp.codec import Codec
from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import HEADER_BYTES, BitstreamError
from diffcomp.coding.cdf_tables import escape_excess
from diffcomp.coding.file_info import file_info
from diffcomp.coding.grid import BUCKETS_PER_OCTAVE, bucket
from diffcomp.decode_settings import MAX_STEPS
from diffcomp.distances.distortion import psnr
from diffcomp.export import shipped_models
from diffcomp.export.shipped_models import ModelError

STEPS = 2  # of sampling; each number of steps is compiled on its own


@pytest.fixture(scope="module")
def tiny() -> Codec:
    if os.environ.get("UPDATE_GOLDEN"):
        run_script("make_tiny_model.py")
    return tiny_model.codec()


@pytest.fixture(scope="module")
def golden(tiny) -> bytes:
    """The committed file: the tiny model's, of `tiny_model.image()`."""
    return tiny_model.FILE.read_bytes()


def repacked(data: bytes, **changes: int) -> bytes:
    """The file with other header fields and checksums that are right."""
    return bitstream.pack(dataclasses.replace(bitstream.unpack(data), **changes))


# The golden file


@pytest.mark.colab
def test_golden_file_decodes_to_the_committed_digest(tiny, golden) -> None:
    assert tiny_model.digest(tiny, golden) == json.loads(tiny_model.DIGEST.read_text())


@pytest.mark.colab
def test_golden_image_is_compressed_to_its_bytes_and_error(tiny, golden) -> None:
    """The encoder is float: another machine may round a few symbols otherwise, no more."""
    image = tiny_model.image()
    data = tiny.compress(image, tiny_model.QUALITY)
    assert abs(len(data) - len(golden)) <= 0.02 * len(golden)
    assert 0.3 < file_info(data).bpp < 0.5
    for file in (data, golden):
        assert psnr(tiny.decompress(file, steps=STEPS, realism=0), image) > 19.8


def test_golden_model_is_small_and_not_idle(tiny, golden) -> None:
    """Tables, steps and means vary, and some symbols escape; else the digest would prove little."""
    files = [*tiny_model.MODEL.iterdir(), tiny_model.FILE, tiny_model.DIGEST]
    assert sum(file.stat().st_size for file in files) < 450_000
    run = tiny_model.decode(tiny, golden)
    assert run.y_hat.shape == (5, 7, 16)
    mean, step, indexes, symbols = (
        np.concatenate(parts) for parts in zip(*run.passes, strict=True)
    )
    assert len(np.unique(step)) > 10 * len(tiny.model.coder.groups)
    assert len(np.unique(indexes)) > 20
    assert len(np.unique(symbols)) > 10
    assert np.std(mean * 2.0**-24) > 0.1
    escaped = escape_excess(tiny.model.coder.y_tables, symbols, indexes) != 0
    assert 1 <= escaped.sum() <= 0.05 * escaped.size


@pytest.mark.parametrize(
    "environment",
    [
        {"OPENBLAS_NUM_THREADS": "1", "JAX_DISABLE_JIT": "1"},
        {
            "OPENBLAS_NUM_THREADS": "2",
            "XLA_FLAGS": "--xla_cpu_enable_fast_math=true --xla_cpu_multi_thread_eigen=false",
        },
        {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
    ],
    ids=["one thread, no jit", "two threads, fast math", "two devices"],
)
def test_other_processes_decode_the_same_latents(tiny, photo, tmp_path, environment) -> None:
    written = tmp_path / "written here.dfc"
    written.write_bytes(tiny.compress(photo, 3))
    printed = run_script("tiny_model.py", tiny_model.FILE, written, **environment)
    ours = [tiny_model.digest(tiny, file.read_bytes()) for file in (tiny_model.FILE, written)]
    assert json.loads(printed) == ours


# Compression


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (15, 17), (64, 64), (65, 129)])
def test_size_of_the_image_comes_back(tiny, size: tuple[int, int]) -> None:
    image = skimage.data.astronaut()[: size[0], 100 : 100 + size[1]]
    data = tiny.compress(image)
    info = file_info(data)
    assert (info.height, info.width) == size
    decoded = tiny.decompress(data, steps=STEPS)
    assert (decoded.shape, decoded.dtype) == (image.shape, np.uint8)
    y_hat = tiny.read(data).y_hat
    assert y_hat.shape == (math.ceil(size[0] / 16), math.ceil(size[1] / 16), 16)


def test_what_a_file_says_of_itself(tiny, photo) -> None:
    data = tiny.compress(photo, 2.5)
    info = file_info(data)
    assert (info.width, info.height, info.quality) == (128, 96, 2.5)
    assert info.fingerprint == tiny.model.coder.fingerprint
    assert info.header_bits + info.z_bits + info.y_bits == 8 * len(data)
    assert info.bpp == 8 * len(data) / (96 * 128)


def test_compression_is_deterministic_and_quality_kept_to_a_32nd(tiny, photo) -> None:
    data = tiny.compress(photo, 4)
    assert tiny.compress(photo.copy(), 4.0) == data
    assert tiny.compress(photo, 4 + 0.015) == data
    assert tiny.compress(photo, 4 + 0.017) != data
    assert tiny.compress(photo) == data  # the default


def test_an_image_need_not_be_contiguous(tiny, photo) -> None:
    assert tiny.compress(photo[:, ::-1]) == tiny.compress(photo[:, ::-1].copy())


@pytest.mark.colab
def test_more_quality_takes_more_bytes_and_errs_less(tiny) -> None:
    crops = [skimage.data.astronaut()[i : i + 96, i : i + 128] for i in (0, 130, 260)]
    qualities = [1, 2, 4, 6, 8]
    sizes = [sum(len(tiny.compress(crop, q)) for crop in crops) for q in qualities]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 1.5 * sizes[0]
    low, high = (tiny.decompress(tiny.compress(crops[1], q), steps=STEPS) for q in (1, 8))
    assert psnr(high, crops[1]) > psnr(low, crops[1]) + 0.2


@pytest.mark.parametrize("quality", [1, 4, 8])
def test_estimate_is_that_of_the_file(tiny, photo, quality: int) -> None:
    """Within 1 % and 32 bytes (29 of them the header), for sides that are multiples of 64."""
    image = photo[:64]
    size = len(tiny.compress(image, quality))
    estimate = tiny.bpp_estimate(image, quality) * image.shape[0] * image.shape[1] / 8
    assert abs(size - estimate) <= 0.01 * estimate + 32


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), "image is an array of float32; it must be of uint8"),
        (np.zeros((8, 8, 3), np.int8), "image is an array of int8"),
        ([[[0, 0, 0]]], "image is of type list"),
        (np.zeros((8, 8), np.uint8), r"image has shape \(8, 8\); it must be \[H, W, 3\]"),
        (np.zeros((8, 8, 4), np.uint8), r"image has shape \(8, 8, 4\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"image has shape \(1, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), r"image has shape \(0, 8, 3\)"),
        (np.zeros((1, 2**16, 3), np.uint8), "width must be an integer from 1 to 65535"),
        (np.broadcast_to(np.uint8(0), (2**15, 2**14, 3)), "the image is too large"),
    ],
)
def test_no_such_image(tiny, image: object, message: str) -> None:
    for function in (tiny.compress, tiny.bpp_estimate):
        with pytest.raises(ValueError, match=message):
            function(image)


def test_what_else_is_a_picture(tiny, photo, tmp_path) -> None:
    expected = tiny.compress(photo)
    picture = Image.fromarray(photo)
    picture.save(tmp_path / "x.png")
    for image in (jnp.asarray(photo), picture, tmp_path / "x.png", str(tmp_path / "x.png")):
        assert tiny.compress(image) == expected
    assert tiny.compress(picture.convert("L")) == tiny.compress(picture.convert("L").convert("RGB"))
    with pytest.raises(ValueError, match="image is of mode RGBA; it must be RGB or L"):
        tiny.compress(picture.convert("RGBA"))
    with pytest.raises(ValueError, match="image is of type NoneType; it must be an array"):
        tiny.compress(None)


def test_larger_pictures_than_allowed_are_refused_in_every_form(tiny, photo, tmp_path) -> None:
    Image.fromarray(photo).save(tmp_path / "x.png")
    pixels = photo.shape[0] * photo.shape[1]
    for image in (photo, Image.fromarray(photo), tmp_path / "x.png"):
        tiny.compress(image, max_pixels=pixels)
        with pytest.raises(ValueError, match="too large"):
            tiny.compress(image, max_pixels=pixels - 1)


def test_what_else_is_a_file(tiny, photo) -> None:
    data = tiny.compress(photo)
    expected = tiny.decompress(data)
    expected[0, 0] = 0  # it can be written to
    for same in (bytearray(data), memoryview(data)):
        np.testing.assert_array_equal(tiny.decompress(same)[1:], expected[1:])
    for other in (None, "x.dfc", 3):
        with pytest.raises(ValueError, match="data is of type .*; it must be bytes"):
            tiny.decompress(other)


@pytest.mark.parametrize("quality", [0, 8.5, math.nan, "4", True + 0j])
def test_no_such_quality(tiny, photo, quality: object) -> None:
    with pytest.raises(ValueError, match=r"quality is .*; it must be in \[1, 8\]"):
        tiny.compress(photo, quality)


# Decompression


def test_without_noise_the_seed_does_not_matter(tiny, golden) -> None:
    images = [tiny.decompress(golden, steps=STEPS, seed=seed) for seed in (0, 1, 2**32 - 1)]
    np.testing.assert_array_equal(images[1], images[0])
    np.testing.assert_array_equal(images[2], images[0])


@pytest.mark.colab
@pytest.mark.parametrize("knob", ["gamma", "eta"])
def test_with_noise_each_seed_has_its_image(tiny, golden, knob: str) -> None:
    settings = {"steps": STEPS, knob: 1.0}
    first, again, other = (tiny.decompress(golden, seed=s, **settings) for s in (7, 7, 8))
    np.testing.assert_array_equal(again, first)
    assert np.mean(other != first) > 0.1
    assert np.mean(first != tiny.decompress(golden, steps=STEPS)) > 0.1


def test_realism_changes_the_image(tiny, golden) -> None:
    plain, natural = (tiny.decompress(golden, steps=STEPS, realism=r) for r in (0, 1))
    assert np.any(plain != natural)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, rf"steps is 0; it must be in \[1, {MAX_STEPS}\]"),
        ({"steps": MAX_STEPS + 1}, f"steps is {MAX_STEPS + 1}; it must be in"),
        ({"steps": 2.5}, "steps is 2.5; it must be an integer"),
        ({"gamma": -0.1}, r"gamma is -0.1; it must be in \[0, 1\]"),
        ({"gamma": 1.1}, "gamma is 1.1; it must be in"),
        ({"gamma": math.nan}, "gamma is nan; it must be in"),
        ({"eta": 2}, r"eta is 2; it must be in \[0, 1\]"),
        ({"realism": -1}, r"realism is -1; it must be in \[0, 1\]"),
        ({"seed": -1}, r"seed is -1; it must be in \[0, 2\*\*32\)"),
        ({"seed": 2**32}, "seed is 4294967296; it must be in"),
        ({"seed": 0.5}, "seed is 0.5; it must be an integer"),
    ],
)
def test_setting_out_of_range(tiny, golden, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        tiny.decompress(golden, **settings)
    assert not isinstance(caught.value, BitstreamError)


def test_unknown_setting(tiny, golden) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'stepps'"):
        tiny.decompress(golden, stepps=3)


@pytest.mark.colab
def test_every_flipped_bit_is_found(tiny, golden) -> None:
    """Each bit of the header, and one of each byte after it."""
    for position in range(len(golden)):
        for bit in range(8) if position < HEADER_BYTES else [position % 8]:
            damaged = bytearray(golden)
            damaged[position] ^= 1 << bit
            with pytest.raises(BitstreamError):
                tiny.decompress(bytes(damaged))


@pytest.mark.parametrize("length", [0, 2, 20, HEADER_BYTES, 100])
def test_truncated_file(tiny, golden, length: int) -> None:
    with pytest.raises(BitstreamError, match="empty|truncated"):
        tiny.decompress(golden[:length])


def test_file_of_another_model(tiny, golden) -> None:
    coder = tiny.model.coder
    other = dataclasses.replace(coder, scale_thresholds=coder.scale_thresholds + 1)
    data = Codec(dataclasses.replace(tiny.model, coder=other)).compress(tiny_model.image())
    message = (
        f"fingerprint 0x{other.fingerprint:08x}, but model 'tiny' has 0x{coder.fingerprint:08x}"
    )
    with pytest.raises(BitstreamError, match=message):
        tiny.decompress(data)


def test_quality_that_does_not_exist(tiny, golden) -> None:
    message = "the header has quality code 225; the highest is 224"
    with pytest.raises(BitstreamError, match=message):
        file_info(repacked(golden, quality_code=225))
    with pytest.raises(BitstreamError, match=message):
        tiny.decompress(repacked(golden, quality_code=225))


@pytest.mark.parametrize(
    "changes",
    [
        {"quality_code": 0},
        {"quality_code": 224},
        {"width": 200},
        {"height": 48},
        {"symbols_crc": 0},
    ],
)
def test_wrong_header_with_right_checksum(tiny, golden, changes: dict) -> None:
    """The file's own CRC cannot tell; that of the symbols does, or the range coder."""
    with pytest.raises(BitstreamError, match="CRC-32|stream is damaged|take at least"):
        tiny.decompress(repacked(golden, **changes))


# Padding


def test_bucket_is_a_multiple_of_64_and_at_most_an_eighth_more() -> None:
    sides = np.arange(1, 2**16)
    buckets = np.array([bucket(int(side)) for side in sides])
    assert np.all(buckets % 64 == 0)
    assert np.all(buckets >= sides)
    assert np.all(np.diff(buckets) >= 0)
    assert np.all(buckets <= np.maximum(-(-sides // 64) * 64, 9 / 8 * sides))
    assert all(bucket(int(side)) == side for side in np.unique(buckets))
    for octave in range(6, 16):
        inside = buckets[(buckets > 2**octave) & (buckets <= 2 ** (octave + 1))]
        assert 1 <= len(np.unique(inside)) <= BUCKETS_PER_OCTAVE


# Models by name


def test_models_are_found_by_name_or_folder(tiny, monkeypatch) -> None:
    monkeypatch.setattr(shipped_models, "MODELS", tiny_model.GOLDEN)
    assert shipped_models.model_names() == {tiny.model.coder.fingerprint: "tiny"}
    for model in (tiny_model.MODEL.name, tiny_model.MODEL, str(tiny_model.MODEL)):
        assert codec.load(model).model.coder.fingerprint == tiny.model.coder.fingerprint
    message = r"bass is neither a folder nor a shipped model; shipped are: tiny_model\.$"
    with pytest.raises(ModelError, match=message):
        codec.load("bass")


def test_package_offers_the_codec() -> None:
    assert diffcomp.load is codec.load
    assert diffcomp.Codec is Codec
    with pytest.raises(AttributeError, match="module 'diffcomp' has no attribute 'lod'"):
        diffcomp.lod  # noqa: B018
