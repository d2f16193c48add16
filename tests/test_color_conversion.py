"""Tests of profiles, alpha and compositing.

Tests of what depends on the file format go through a file.
"""

import re

import numpy as np
import pytest
from picture_files import (
    GAMMA,
    P3_TO_XYZ,
    SRGB_TO_XYZ,
    cmyk_profile,
    curve_tag,
    icc_profile,
    rgb_profile,
    srgb_encode,
)
from PIL import Image, ImageCms

from diffcomp.files.color_conversion import composite, parse_color, split_alpha, to_srgb
from diffcomp.files.image_file import read_image

pytestmark = pytest.mark.colab


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def save(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


def converted(image: Image.Image, icc: bytes | None) -> tuple[np.ndarray, list[str]]:
    """The sRGB pixels of a picture with this profile, and the notes."""
    notes: list[str] = []
    return to_srgb(image, (icc,) if icc else (), notes), notes


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "PA"])
def test_alpha_is_separated(mode):
    image = Image.new("RGBA", (2, 1), (90, 90, 90, 255))
    color, alpha = split_alpha(in_mode(image, mode), "")
    assert alpha is None and np.array(color.convert("RGB")).tolist() == [[[90, 90, 90]] * 2]
    image.putpixel((1, 0), (90, 90, 90, 51))
    color, alpha = split_alpha(in_mode(image, mode), "")
    assert alpha.tolist() == [[255, 51]]
    assert np.array(color.convert("RGB")).tolist() == [[[90, 90, 90]] * 2]


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "PA":  # of a picture with colours, Pillow before 12 takes a fixed palette
        converted = image.getchannel("R").convert("PA")
        converted.putalpha(image.getchannel("A"))
        return converted
    return image.convert("LA").convert(mode) if mode == "La" else image.convert(mode)


def test_compositing_rounds_to_nearest():
    color, alpha = np.meshgrid(np.arange(256), np.arange(256))
    pixels = np.stack([color] * 3, axis=-1).astype(np.uint8)
    mixed = composite(pixels, alpha.astype(np.uint8), (0, 77, 255))
    exact = (color * alpha)[..., None] + np.array([0, 77, 255]) * (255 - alpha)[..., None]
    np.testing.assert_array_equal(mixed, np.rint(exact / 255))
    assert mixed.dtype == np.uint8


def test_srgb_profiles_are_left_alone():
    table = np.linspace(0, 1, 1024)
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    named = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    by_hand = rgb_profile(SRGB_TO_XYZ, curve_tag(np.rint(65535 * linear).astype(int).tolist()))
    pixels = noise(16, 16)
    for profile in (None, named, by_hand):
        result, notes = converted(Image.fromarray(pixels), profile)
        np.testing.assert_array_equal(result, pixels)
        assert notes == []


@pytest.mark.parametrize("extension", ["png", "tif", "webp"])
def test_wide_gamut_profile_is_converted(tmp_path, extension):
    profile = rgb_profile(P3_TO_XYZ, curve_tag([round(GAMMA * 256)]))
    pixels = noise(32, 32)
    path = tmp_path / f"a.{extension}"
    options = {"lossless": True} if extension == "webp" else {}
    loaded = read_image(save(path, Image.fromarray(pixels), icc_profile=profile, **options))
    linear = (pixels / 255) ** GAMMA @ P3_TO_XYZ.T @ np.linalg.inv(SRGB_TO_XYZ).T
    expected = srgb_encode(linear)
    assert np.abs(expected - pixels).max() > 20
    assert np.abs(loaded.pixels - expected).max() <= 2
    assert loaded.notes == ('ICC profile "made by hand" converted to sRGB',)


def test_profile_name_is_safe_to_print():
    profile = rgb_profile(P3_TO_XYZ, curve_tag([256]))
    profile = profile.replace(b"made by hand", b"made\x1b[31m by")
    _, notes = converted(Image.new("RGB", (1, 1)), profile)
    assert notes == ['ICC profile "made[31m by" converted to sRGB']


def test_profile_applies_below_alpha_and_palette(tmp_path):
    profile = rgb_profile(P3_TO_XYZ, curve_tag([round(GAMMA * 256)]))
    plain = Image.new("RGB", (2, 2), (100, 180, 40))
    expected = read_image(save(tmp_path / "a.png", plain, icc_profile=profile)).pixels
    for mode in ("RGBA", "P"):
        image = plain.convert(mode, palette=Image.Palette.ADAPTIVE)
        loaded = read_image(save(tmp_path / "b.png", image, icc_profile=profile))
        np.testing.assert_array_equal(loaded.pixels, expected)
    image = plain.convert("RGBA")
    image.putpixel((1, 1), (0, 0, 0, 0))
    loaded = read_image(save(tmp_path / "c.png", image, icc_profile=profile), (1, 2, 3))
    assert loaded.pixels[1, 1].tolist() == [1, 2, 3]
    assert loaded.pixels[0, 0].tolist() == expected[0, 0].tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_profile_is_converted(tmp_path, dtype):
    profile = icc_profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve_tag([])})
    ramp = np.arange(256, dtype=dtype)[None] * (257 if dtype == np.uint16 else 1)
    path = save(tmp_path / "a.png", Image.fromarray(ramp), icc_profile=profile)
    loaded = read_image(path)
    expected = srgb_encode(np.arange(256) / 255)
    assert np.abs(loaded.pixels[0] - expected[:, None]).max() <= 1
    assert loaded.notes[-1] == 'ICC profile "made by hand" converted to sRGB'


def test_cmyk_profile_is_converted(tmp_path):
    inks = np.zeros((1, 6, 4), np.uint8)
    inks[0, :, 1] = np.arange(6) * 51
    path = tmp_path / "a.tif"
    image = Image.frombytes("CMYK", (6, 1), inks.tobytes())
    loaded = read_image(save(path, image, icc_profile=cmyk_profile()))
    lightness = 100 - 5.0 * np.arange(6)
    expected = srgb_encode(((lightness + 16) / 116) ** 3)
    assert np.abs(loaded.pixels[0] - expected[:, None]).max() <= 2
    assert loaded.notes[0] == "CMYK converted to sRGB"
    assert loaded.notes[1] == 'ICC profile "made by hand" converted to sRGB'


def test_rgb_profile_applies_to_a_grey_picture():
    profile = rgb_profile(SRGB_TO_XYZ, curve_tag([256]))
    ramp = np.arange(256, dtype=np.uint8)[None]
    result, _ = converted(Image.fromarray(ramp), profile)
    expected = srgb_encode(np.arange(256) / 255)
    assert np.abs(result[0] - expected[:, None]).max() <= 2


def test_useless_profiles_are_noted():
    pixels = noise(4, 4)
    no_curve = icc_profile(b"mntr", b"RGB ", b"XYZ ", {})
    no_space = rgb_profile(P3_TO_XYZ, curve_tag([256])).replace(b"RGB ", b"\xffGB ", 1)
    for profile in (b"not a profile", no_curve, no_space):
        result, notes = converted(Image.fromarray(pixels), profile)
        np.testing.assert_array_equal(result, pixels)
        assert notes == ["broken ICC profile ignored"]
    result, notes = converted(Image.fromarray(pixels), cmyk_profile())
    np.testing.assert_array_equal(result, pixels)
    assert notes == ["ICC profile of colour space CMYK ignored: the picture is RGB"]


def test_parse_color():
    assert parse_color("white") == (255, 255, 255)
    assert parse_color("#0a141E") == (10, 20, 30)
    for text in ("", "bluish", "#12345", "#11223344", "rgba(1, 2, 3, 4)", "rgb(1, 2, 256)"):
        pattern = re.escape(f"{text!r} is not an opaque colour; give #rrggbb or a name: white")
        with pytest.raises(ValueError, match=pattern):
            parse_color(text)
