"""Tests of profiles read directly, against formulae and against Little CMS as Pillow brings it."""

import io
import struct

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
)
from PIL import Image, ImageCms

from diffcomp.files.icc_profile import coded_transfer, space_of_profile


def para_tag(kind: int, *values: float) -> bytes:
    numbers = [round(65536 * value) for value in values]
    return b"para" + struct.pack(f">4xHxx{len(numbers)}i", kind, *numbers)


CURVES = {
    "identity": (curve_tag([]), lambda x: x),
    "gamma": (curve_tag([round(GAMMA * 256)]), lambda x: x**GAMMA),
    "table": (curve_tag([0, 16384, 65535]), lambda x: np.interp(x, [0, 0.5, 1], [0, 0.25, 1])),
    "function 0": (para_tag(0, 2.2), lambda x: x**2.2),
    "function 1": (para_tag(1, 2, 1.25, -0.25), lambda x: np.maximum(1.25 * x - 0.25, 0) ** 2),
    "function 2": (
        para_tag(2, 2, 1.25, -0.5, 0.25),
        lambda x: np.maximum(1.25 * x - 0.5, 0) ** 2 + 0.25,
    ),
    "function 3": (
        para_tag(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
        lambda x: np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4),
    ),
    "function 4": (
        para_tag(4, 2, 0.75, 0, 0.5, 0.25, 0.125, 0.0625),
        lambda x: np.where(x >= 0.25, (0.75 * x) ** 2 + 0.125, 0.5 * x + 0.0625),
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_those_of_the_standard(name):
    tag, function = CURVES[name]
    space = space_of_profile(rgb_profile(SRGB_TO_XYZ, tag), "a")
    x = np.linspace(0, 1, 1000)
    for curve in space.curves:
        # Numbers of a profile have 16 binary digits after the point.
        np.testing.assert_allclose(curve(x), function(x), atol=5e-5)


@pytest.mark.parametrize("name", CURVES)
def test_little_cms_agrees(name):
    profile = rgb_profile(P3_TO_XYZ, CURVES[name][0])
    pixels = np.random.default_rng(5).integers(0, 256, (32, 32, 3), np.uint8)
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(
        opened,
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.NOOPTIMIZE,
    )
    expected = np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform), int)
    found = space_of_profile(profile, "a").convert(pixels, 255)
    assert np.abs(found - expected).max() <= 1


def test_other_kinds_are_not_read():
    curve = curve_tag([256])
    tables = icc_profile(b"mntr", b"RGB ", b"XYZ ", {b"A2B0": b"", b"rTRC": curve})
    no_curve = icc_profile(b"mntr", b"RGB ", b"XYZ ", {})
    odd = rgb_profile(P3_TO_XYZ, b"odd " + bytes(8))
    cut = rgb_profile(P3_TO_XYZ, curve)[:140]
    for profile in (b"", b"none" * 40, tables, no_curve, odd, cut, cmyk_profile()):
        assert space_of_profile(profile, "a") is None


def test_the_transfer_of_a_cicp_tag():
    tag = b"cicp" + bytes(4) + bytes([9, 16, 0, 1])
    assert coded_transfer(icc_profile(b"mntr", b"RGB ", b"XYZ ", {b"cicp": tag})) == 16
    assert coded_transfer(icc_profile(b"mntr", b"RGB ", b"XYZ ", {})) is None
    assert coded_transfer(b"") is None
