"""Tests of EXIF and XMP: what is obeyed, and what is carried on, true of the pixels by then."""

import io
import struct

import numpy as np
import pytest
from picture_files import SRGB_TO_XYZ, curve_tag, rgb_profile, srgb_encode
from PIL import Image

from diffcomp.coding.metadata import Metadata
from diffcomp.files.exif import ExifFacts, read_facts, settled_exif, settled_xmp
from diffcomp.files.image_file import ImageError, decode_image, read_image, write_image
from diffcomp.files.image_output import holds_metadata

PIXELS = np.random.default_rng(6).integers(0, 256, (8, 12, 3), np.uint8)
THUMBNAIL = b"\xff\xd8 what was cropped away \xff\xd9"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description dc:title="a"/></x:xmpmeta>'


def directory(order: str, at: int, entries: list, following: int = 0) -> bytes:
    """A directory at `at`: entries are (tag, kind, count, value), long values stand after it."""
    head, beside = struct.pack(order + "H", len(entries)), b""
    for tag, kind, count, value in sorted(entries):
        if isinstance(value, bytes) and len(value) > 4:
            place = at + 2 + 12 * len(entries) + 4 + len(beside)
            beside += value
            value = struct.pack(order + "I", place)
        elif not isinstance(value, bytes):
            value = struct.pack(
                order + ("HH" if kind == 3 else "I"), *([value, 0] if kind == 3 else [value])
            )
        head += struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
    return head + struct.pack(order + "I", following) + beside


def make_exif(
    order: str = "<", orientation: int = 6, color_space: int = 65535, index=b"R03"
) -> bytes:
    """EXIF as a camera writes it: artist, date, GPS, interoperability, and a thumbnail last."""
    places = {"main": 8, "detail": 108, "interop": 172, "gps": 204, "second": 236}
    artist = (0x013B, 2, 10, b"An artist\0")
    parts = {
        "main": [
            (0x0112, 3, 1, orientation),
            artist,
            (0x8769, 4, 1, places["detail"]),
            (0x8825, 4, 1, places["gps"]),
        ],
        "detail": [
            (0x9003, 2, 20, b"2020:02:20 20:20:20\0"),
            (0xA001, 3, 1, color_space),
            (0xA005, 4, 1, places["interop"]),
        ],
        "interop": [(1, 2, 4, index + b"\0")],
        "gps": [(1, 2, 2, b"N\0")],
        "second": [(0x0201, 4, 1, 266), (0x0202, 4, 1, len(THUMBNAIL))],
    }
    data = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    for name, at in places.items():
        following = places["second"] if name == "main" else 0
        data = data.ljust(at, b"\0") + directory(order, at, parts[name], following)
    return data.ljust(266, b"\0") + THUMBNAIL


def opened(exif: bytes) -> Image.Exif:
    """The same, as Pillow reads it."""
    found = Image.Exif()
    found.load(exif)
    return found


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_facts(order, prefix):
    facts = read_facts(prefix + make_exif(order))
    assert facts == ExifFacts(6, 65535, b"R03")
    assert facts.is_adobe_rgb and not facts.is_unknown_color


@pytest.mark.parametrize(
    "color_space, index, adobe, unknown",
    [
        (1, b"R98", False, False),
        (65535, b"R98", False, True),
        (65535, b"THM", False, True),
        (2, b"R98", True, False),
        (1, b"R03", False, False),
    ],
)
def test_which_colour_space_exif_means(color_space, index, adobe, unknown):
    facts = read_facts(make_exif(color_space=color_space, index=index))
    assert (facts.is_adobe_rgb, facts.is_unknown_color) == (adobe, unknown)


@pytest.mark.parametrize("order", ["<", ">"])
def test_carried_exif_is_true_of_the_pixels_and_without_a_thumbnail(order):
    settled = settled_exif(make_exif(order))
    found = opened(settled)
    assert found[0x0112] == 1 and found[0x013B] == "An artist"
    assert found.get_ifd(0x8769)[0x9003] == "2020:02:20 20:20:20"
    assert found.get_ifd(0x8769)[0xA001] == 1
    assert found.get_ifd(0xA005)[1] == "R98"
    assert found.get_ifd(0x8825)[1] == "N"
    assert found.get_ifd(1) == {}
    assert THUMBNAIL not in settled and b"cropped" not in settled
    assert len(settled) == 236
    assert settled_exif(settled) == settled


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"none", b"II*\0\x08"])
def test_no_exif_is_refused(exif):
    for read in (read_facts, settled_exif):
        with pytest.raises(ValueError, match="EXIF does not start like a TIFF file"):
            read(exif)


def test_cut_and_random_exif_raises_nothing_else():
    exif = make_exif()
    rng = np.random.default_rng(8)
    for length in range(8, len(exif)):
        read_facts(exif[:length])
        settled_exif(exif[:length])
    for _ in range(2000):
        damaged = bytearray(exif)
        for at in rng.integers(4, len(exif), 4):
            damaged[at] = rng.integers(256)
        read_facts(bytes(damaged))
        settled_exif(bytes(damaged))


def test_carried_xmp_is_true_of_the_pixels_and_without_a_thumbnail():
    for said, left in [
        (b'<a tiff:Orientation="6"/>', b'<a tiff:Orientation="1"/>'),
        (b"<tiff:Orientation>8</tiff:Orientation>", b"<tiff:Orientation>1</tiff:Orientation>"),
        (b'<a exif:ColorSpace="65535"/>', b'<a exif:ColorSpace="1"/>'),
        (b"a<xmp:Thumbnails><b>\n</b></xmp:Thumbnails>c", b"ac"),
        (XMP, XMP),
    ]:
        assert settled_xmp(said) == left


def encoded(kind: str, **options) -> io.BytesIO:
    file = io.BytesIO()
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    Image.fromarray(PIXELS).save(file, kind, **lossless.get(kind, {}), **options)
    return file


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_metadata_are_read_and_adobe_rgb_converted(kind):
    # Pillow writes the interoperability of a TIFF wrong; some cameras say it without.
    exif = make_exif(orientation=1, color_space=2 if kind == "TIFF" else 65535)
    file = encoded(kind, exif=b"Exif\0\0" + exif)
    loaded = decode_image(file, "a")
    with Image.open(file) as image:
        stored = np.asarray(image) / 255
    # Adobe RGB (1998) to XYZ under D50, from the primaries by the Bradford transform.
    to_xyz = np.array(
        [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
    )
    expected = srgb_encode(stored ** (563 / 256) @ to_xyz.T @ np.linalg.inv(SRGB_TO_XYZ).T)
    assert np.abs(loaded.pixels - expected).max() <= 1
    assert loaded.notes == ("Adobe RGB of EXIF converted to sRGB",)
    found = opened(loaded.metadata.exif)
    assert found[0x013B] == "An artist" and found.get_ifd(0x8825)[1] == "N"
    assert found.get_ifd(0x8769)[0x9003] == "2020:02:20 20:20:20"
    assert found.get_ifd(0x8769)[0xA001] == 1
    assert b"cropped" not in loaded.metadata.exif


def test_a_profile_is_stronger_than_exif():
    profile = rgb_profile(SRGB_TO_XYZ, curve_tag([256]))
    for options in ({"exif": make_exif(orientation=1)}, {}):
        loaded = decode_image(encoded("PNG", icc_profile=profile, **options), "a")
        assert loaded.notes == ('ICC profile "made by hand" converted to sRGB',)


def test_an_unnamed_colour_space_is_noted():
    loaded = decode_image(encoded("PNG", exif=make_exif(orientation=1, index=b"R98")), "a")
    np.testing.assert_array_equal(loaded.pixels, PIXELS)
    assert loaded.notes == (
        "EXIF names no colour space but says that it is not sRGB; read as sRGB",
    )


def test_exif_that_says_only_the_orientation_is_not_carried():
    exif = Image.Exif()
    exif[0x0112] = 6
    loaded = decode_image(encoded("PNG", exif=exif), "a")
    np.testing.assert_array_equal(loaded.pixels, np.rot90(PIXELS, -1))
    assert not loaded.metadata


CARRIED = settled_exif(make_exif())


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tif", ".avif"])
@pytest.mark.parametrize(
    "metadata", [Metadata(CARRIED, XMP), Metadata(CARRIED), Metadata(None, XMP)]
)
def test_metadata_are_written_and_come_back(tmp_path, extension, metadata):
    path = tmp_path / f"a{extension}"
    assert holds_metadata(path)
    write_image(path, PIXELS, metadata=metadata)
    loaded = read_image(path)
    assert loaded.metadata.xmp == metadata.xmp
    assert loaded.notes == ()
    if extension not in (".jpg", ".avif"):
        np.testing.assert_array_equal(loaded.pixels, PIXELS)
    if metadata.exif is None:
        assert loaded.metadata.exif is None
        return
    found = opened(loaded.metadata.exif)
    assert found[0x013B] == "An artist" and found.get_ifd(0x8825)[1] == "N"
    assert found.get_ifd(0x8769)[0x9003] == "2020:02:20 20:20:20"
    if extension not in (".tif", ".avif"):  # Pillow writes these anew, from the tags.
        assert loaded.metadata.exif == CARRIED


@pytest.mark.parametrize("extension", [".bmp", ".ppm"])
def test_formats_without_metadata_refuse_it(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    assert not holds_metadata(path)
    with pytest.raises(ImageError, match=f"{path}: .* holds neither EXIF nor XMP"):
        write_image(path, PIXELS, metadata=Metadata(CARRIED))
    write_image(path, PIXELS, metadata=Metadata())
    assert list(tmp_path.iterdir()) == [path]


def test_metadata_too_long_for_a_format_leave_no_file(tmp_path):
    with pytest.raises(ImageError, match="a.jpg: cannot be written as JPEG: "):
        write_image(tmp_path / "a.jpg", PIXELS, metadata=Metadata(CARRIED + bytes(70000)))
    assert list(tmp_path.iterdir()) == []
