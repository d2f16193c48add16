"""Tests of colour and depth in the boxes of AVIF, HEIF and JPEG 2000, and of Pillow's packages."""

import io
import struct
import sys

import numpy as np
import pytest
from picture_files import P3_TO_XYZ, SRGB_TO_XYZ, curve_tag, rgb_profile, srgb_encode
from PIL import Image

from diffcomp.files.boxes import BoxColor, box_color
from diffcomp.files.image_file import ImageError, decode_image

PIXELS = np.repeat(
    np.repeat(np.random.default_rng(9).integers(0, 256, (4, 6, 3), np.uint8), 8, 0), 8, 1
)
PLUGINS = {"HEIF": "pillow_heif", "JXL": "pillow_jxl"}


def encoded(kind: str, pixels: np.ndarray = PIXELS, **options) -> bytes:
    if kind in PLUGINS:
        plugin = pytest.importorskip(PLUGINS[kind], reason="comes with the extra evaluate")
        if kind == "HEIF":
            plugin.register_heif_opener()
    best = {"quality": 100, "subsampling": "4:4:4"} if kind == "AVIF" else {}
    best = {"quality": 100, "chroma": 444} if kind == "HEIF" else best
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **(best | options))
    return file.getvalue()


def read(data: bytes):
    return decode_image(io.BytesIO(data), "a")


def with_codes(data: bytes, primaries: int, transfer: int) -> bytes:
    """The same picture with another colour description."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_stated_colours_are_converted(kind):
    data = encoded(kind)
    assert box_color(data).codes == (1, 13)
    plain = read(data)
    assert plain.notes == ()
    wide = read(with_codes(data, 12, 13))
    encoded_p3 = plain.pixels / 255
    linear = np.where(
        encoded_p3 <= 0.04045, encoded_p3 / 12.92, ((encoded_p3 + 0.055) / 1.055) ** 2.4
    )
    expected = srgb_encode(linear @ P3_TO_XYZ.T @ np.linalg.inv(SRGB_TO_XYZ).T)
    assert np.abs(wide.pixels - expected).max() <= 1
    assert wide.notes == ("colours of nclx 12/13 converted to sRGB",)
    np.testing.assert_array_equal(read(with_codes(data, 2, 2)).pixels, plain.pixels)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("transfer, name", [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused(kind, transfer, name):
    with pytest.raises(ImageError, match=f"high dynamic range .{name} by its nclx"):
        read(with_codes(encoded(kind), 9, transfer))


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_a_profile_is_stronger(kind):
    profile = rgb_profile(SRGB_TO_XYZ, curve_tag([256]))
    loaded = read(encoded(kind, icc_profile=profile))
    assert loaded.notes == ('ICC profile "made by hand" converted to sRGB',)
    assert np.abs(loaded.pixels - srgb_encode(PIXELS / 255)).max() <= 24  # it was lossy before
    assert np.abs(loaded.pixels - srgb_encode(PIXELS / 255)).mean() <= 2


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_once(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = read(encoded(kind, exif=exif.tobytes()))
    turned = [
        *(PIXELS, PIXELS[:, ::-1], PIXELS[::-1, ::-1], PIXELS[::-1], PIXELS.swapaxes(0, 1)),
        *(np.rot90(PIXELS, -1), PIXELS[::-1, ::-1].swapaxes(0, 1), np.rot90(PIXELS)),
    ][orientation - 1]
    assert loaded.pixels.shape == turned.shape
    assert np.abs(loaded.pixels.astype(int) - turned).max() <= 6
    assert not loaded.metadata


def test_jpeg_xl_is_turned_by_its_own_header_and_not_by_exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    loaded = read(encoded("JXL", lossless=True, exif=exif.tobytes()))
    np.testing.assert_array_equal(loaded.pixels, PIXELS)
    assert loaded.notes == ()


def test_deeper_samples_are_noted():
    plugin = pytest.importorskip("pillow_heif", reason="comes with the extra evaluate")
    samples = (PIXELS.astype(np.uint16) * 257).tobytes()
    file = io.BytesIO()
    picture = plugin.from_bytes("RGB;16", (PIXELS.shape[1], PIXELS.shape[0]), samples)
    picture.save(file, quality=100, chroma=444)
    loaded = read(file.getvalue())
    assert np.abs(loaded.pixels.astype(int) - PIXELS).max() <= 6
    assert loaded.notes[0] in ("10-bit converted to 8-bit", "12-bit converted to 8-bit")


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def test_the_profile_of_a_jpeg_2000_is_applied():
    data = encoded("JPEG2000")
    assert box_color(data) == BoxColor()
    profile = rgb_profile(SRGB_TO_XYZ, curve_tag([256]))
    old = box(b"colr", b"\1\0\0" + struct.pack(">I", 16))
    new = box(b"colr", b"\2\0\0" + profile)
    at = data.index(b"jp2h") - 4
    (size,) = struct.unpack_from(">I", data, at)
    assert old in data[at : at + size]
    grown = struct.pack(">I", size + len(new) - len(old)) + data[at + 4 :].replace(old, new, 1)
    loaded = read(data[:at] + grown)
    assert np.abs(loaded.pixels - srgb_encode(PIXELS / 255)).max() <= 2
    assert loaded.notes == ('ICC profile "made by hand" converted to sRGB',)


def test_damaged_boxes_say_nothing_and_raise_nothing():
    data = encoded("AVIF")
    end = data.index(b"mdat")
    for length in range(end):
        assert isinstance(box_color(data[:length]), BoxColor)
    rng = np.random.default_rng(1)
    for _ in range(3000):
        damaged = bytearray(data)
        for at in rng.integers(0, end, 3):
            damaged[at] = rng.integers(256)
        assert isinstance(box_color(bytes(damaged)), BoxColor)


@pytest.mark.parametrize(
    "head, name, package",
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC", "pillow-heif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIC", "pillow-heif"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL", "pillow-jxl-plugin"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", "pillow-jxl-plugin"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, head, name, package):
    Image.init()
    for kind, module in PLUGINS.items():
        monkeypatch.setitem(sys.modules, module, None)  # an ImportError when it is imported
        monkeypatch.delitem(Image.OPEN, kind, raising=False)
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind in Image.OPEN])
    text = f"^a: is a {name} picture, which needs a further package: pip install {package}$"
    with pytest.raises(ImageError, match=text):
        read(head + bytes(40))


def test_a_broken_file_of_a_package_is_broken():
    pytest.importorskip("pillow_heif", reason="comes with the extra evaluate")
    with pytest.raises(ImageError, match="^a: is not a picture of a kind that Pillow can read"):
        read(b"\0\0\0\x18ftypheic\0\0\0\0" + bytes(40))
