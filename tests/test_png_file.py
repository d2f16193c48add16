"""Tests of PNG's colour chunks, 16-bit colours, keys and long text, against formulae."""

import re
import struct
import zlib

import numpy as np
import pytest
from picture_files import (
    P3_TO_XYZ,
    SRGB_TO_XYZ,
    cmyk_profile,
    curve_tag,
    icc_profile,
    png,
    rgb_profile,
    srgb_encode,
)

from diffcomp.files.image_file import ImageError, read_image

PIXELS = np.random.default_rng(3).integers(0, 256, (16, 12, 3), np.uint8)
P3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
BT709 = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def gamma_chunk(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100000))


def profile_chunk(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"name\0\0" + zlib.compress(profile)


def srgb_linear(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def p3_to_srgb(linear: np.ndarray) -> np.ndarray:
    return srgb_encode(linear @ P3_TO_XYZ.T @ np.linalg.inv(SRGB_TO_XYZ).T)


def read(tmp_path, *chunks, pixels=PIXELS):
    """What a PNG of these pixels, 8 or 16 bits by their type, with these chunks is read as."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    big_endian = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = b"".join(b"\0" + row.tobytes() for row in big_endian)
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    path = tmp_path / "a.png"
    path.write_bytes(png(width, height, 8 * pixels.itemsize, color_type, rows, *chunks))
    return read_image(path)


WIDE = (b"cHRM", P3)
CICP_P3 = (b"cICP", bytes([12, 13, 0, 1]))
LINEAR = profile_chunk(rgb_profile(SRGB_TO_XYZ, curve_tag([256])))


@pytest.mark.parametrize(
    "chunks, expected, note",
    [
        ([gamma_chunk(1.0)], lambda x: srgb_encode(x), "gamma 1 of gAMA"),
        ([gamma_chunk(1 / 1.8)], lambda x: srgb_encode(x**1.8), "gamma 0.55556 of gAMA"),
        ([WIDE], lambda x: p3_to_srgb(srgb_linear(x)), "primaries of cHRM"),
        (
            [WIDE, gamma_chunk(0.5)],
            lambda x: p3_to_srgb(x**2),
            "primaries of cHRM and gamma 0.5 of gAMA",
        ),
        ([CICP_P3], lambda x: p3_to_srgb(srgb_linear(x)), "colours of cICP 12/13"),
        ([(b"cICP", bytes([1, 8, 0, 1]))], lambda x: srgb_encode(x), "colours of cICP 1/8"),
        ([(b"cICP", bytes([2, 4, 0, 1]))], lambda x: srgb_encode(x**2.2), "colours of cICP 2/4"),
        # The third edition's precedence: cICP, iCCP, sRGB, cHRM and gAMA.
        (
            [gamma_chunk(1.0), (b"sRGB", b"\0"), LINEAR, CICP_P3],
            lambda x: p3_to_srgb(srgb_linear(x)),
            "colours of cICP 12/13",
        ),
        (
            [WIDE, gamma_chunk(0.5), (b"sRGB", b"\0"), LINEAR],
            lambda x: srgb_encode(x),
            'ICC profile "made by hand"',
        ),
    ],
)
def test_stated_colours_are_converted(tmp_path, chunks, expected, note):
    loaded = read(tmp_path, *chunks)
    # Beside rounding: Little CMS, for profiles of 8-bit pictures, is two levels off, and the matrix
    # of P3 here has five digits.
    tolerance = 2 if "ICC" in note else 1 if WIDE in chunks or CICP_P3 in chunks else 0.52
    assert np.abs(loaded.pixels - expected(PIXELS / 255)).max() <= tolerance
    assert loaded.notes == (f"{note} converted to sRGB",)


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma_chunk(0.45455)],
        [gamma_chunk(0.45455), (b"cHRM", BT709)],
        [(b"cHRM", BT709)],
        [(b"sRGB", b"\0"), gamma_chunk(1.0), WIDE],
        [(b"cICP", bytes([1, 13, 0, 1])), gamma_chunk(1.0)],
        [(b"cICP", bytes([2, 2, 0, 1])), (b"sRGB", b"\1"), gamma_chunk(1.0)],
    ],
)
def test_srgb_by_any_chunk_changes_nothing(tmp_path, chunks):
    loaded = read(tmp_path, *chunks)
    np.testing.assert_array_equal(loaded.pixels, PIXELS)
    assert loaded.notes == ()


@pytest.mark.parametrize("transfer, name", [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused_by_name(tmp_path, transfer, name):
    text = f"is a picture of high dynamic range ({name} by its cICP)"
    with pytest.raises(ImageError, match=re.escape(text)):
        read(tmp_path, (b"cICP", bytes([9, transfer, 0, 1])))
    tag = b"cicp" + bytes(4) + bytes([9, transfer, 0, 1])
    profile = icc_profile(b"mntr", b"RGB ", b"XYZ ", {b"cicp": tag})
    text = f"is a picture of high dynamic range ({name} by its ICC profile)"
    for pixels in (PIXELS, PIXELS.astype(np.uint16)):
        with pytest.raises(ImageError, match=re.escape(text)):
            read(tmp_path, profile_chunk(profile), pixels=pixels)


def test_narrow_range_is_refused(tmp_path):
    with pytest.raises(ImageError, match="samples of narrow range by its cICP"):
        read(tmp_path, (b"cICP", bytes([1, 13, 0, 0])))


@pytest.mark.parametrize(
    "chunk, note",
    [
        ((b"cICP", bytes([3, 13, 0, 1])), "colours of cICP 3/13 ignored: not a known combination"),
        (
            (b"cICP", bytes([1, 8, 9, 1])),
            "cICP ignored: it has matrix coefficients 9, which must be 0",
        ),
        ((b"cHRM", bytes(32)), "cHRM ignored: it spans no colours"),
        ((b"iCCP", b"name\0\0none"), "broken ICC profile ignored"),
        (profile_chunk(b"no profile"), "broken ICC profile ignored"),
        (profile_chunk(bytes(2**24 + 1)), "ICC profile over 16 MiB ignored"),
    ],
)
def test_useless_statements_are_noted_and_the_next_one_holds(tmp_path, chunk, note):
    loaded = read(tmp_path, chunk)
    np.testing.assert_array_equal(loaded.pixels, PIXELS)
    assert loaded.notes == (note,)
    loaded = read(tmp_path, chunk, gamma_chunk(1.0))
    assert np.abs(loaded.pixels - srgb_encode(PIXELS / 255)).max() <= 0.52
    assert loaded.notes == (note, "gamma 1 of gAMA converted to sRGB")


def test_damaged_extras_are_noted(tmp_path):
    path = tmp_path / "a.png"
    data = png(1, 1, 8, 2, b"\0\7\7\7", gamma_chunk(1.0))
    path.write_bytes(data.replace(b"gAMA\0\1", b"gAMA\0\2"))
    loaded = read_image(path)
    assert loaded.pixels.tolist() == [[[7, 7, 7]]]
    assert loaded.notes == ("damaged gAMA ignored",)


def test_grey_and_palette_are_converted_too(tmp_path):
    grey = np.arange(256, dtype=np.uint8)[None]
    loaded = read(tmp_path, gamma_chunk(1.0), pixels=grey)
    assert np.abs(loaded.pixels[0] - srgb_encode(np.arange(256) / 255)[:, None]).max() <= 0.52
    assert loaded.notes == ("grey converted to RGB", "gamma 1 of gAMA converted to sRGB")
    path = tmp_path / "b.png"
    path.write_bytes(png(2, 1, 8, 3, b"\0\0\1", gamma_chunk(1.0), (b"PLTE", bytes(range(6)))))
    expected = srgb_encode(np.arange(6).reshape(1, 2, 3) / 255)
    assert np.abs(read_image(path).pixels - expected).max() <= 0.52


GREY_LINEAR = profile_chunk(icc_profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve_tag([])}))


@pytest.mark.parametrize(
    "channels, chunk",
    [
        *((channels, gamma_chunk(1.0)) for channels in (1, 2, 3, 4)),
        *((channels, LINEAR) for channels in (1, 2, 3, 4)),
        *((channels, GREY_LINEAR) for channels in (1, 2)),
    ],
)
def test_16_bits_are_converted_before_they_are_rounded(tmp_path, channels, chunk):
    """8 bits of linear light would be up to 12 levels off in the shadows."""
    samples = np.linspace(0, 8000, 60 * channels).astype(np.uint16).reshape(6, 10, channels)
    color = samples if channels in (1, 3) else samples[..., :-1]
    if channels in (2, 4):
        samples[..., -1] = 65535
    loaded = read(tmp_path, chunk, pixels=samples)
    assert np.abs(loaded.pixels - srgb_encode(color / 65535)).max() <= 0.52
    assert loaded.notes[-2] == "16-bit converted to 8-bit"
    assert loaded.notes[-1].endswith(" converted to sRGB")


def test_a_profile_of_tables_gets_8_bits_and_a_note(tmp_path):
    samples = (PIXELS[..., 0].astype(np.uint16) << 8) + 77
    loaded = read(tmp_path, profile_chunk(cmyk_profile()), pixels=np.stack([samples] * 3, -1))
    assert loaded.notes == (
        "16-bit cut to 8-bit before its ICC profile, which has more than curves",
        "ICC profile of colour space CMYK ignored: the picture is RGB",
    )


@pytest.mark.parametrize("color_type", [0, 2])
def test_a_16_bit_key_is_compared_in_all_its_bits(tmp_path, color_type):
    count = 3 if color_type == 2 else 1
    key, other = struct.pack(">H", 0x1234) * count, struct.pack(">H", 0x1235) * count
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 1, 16, color_type, b"\0" + other, (b"tRNS", key)))
    assert read_image(path).pixels.tolist() == [[[18, 18, 18]]]
    path.write_bytes(png(2, 1, 16, color_type, b"\0" + other + key, (b"tRNS", key)))
    with pytest.raises(ImageError, match="has transparent pixels"):
        read_image(path)
    assert read_image(path, (1, 2, 3)).pixels.tolist() == [[[18, 18, 18], [1, 2, 3]]]


def test_an_interlaced_16_bit_picture_is_whole(tmp_path):
    # The passes of Adam7 of a 2 x 2 picture: the first pixel, its neighbour, the next row.
    rows = b"".join(b"\0" + struct.pack(">3H", v, v, v) for v in (257, 514))
    rows += b"\0" + struct.pack(">6H", *([771] * 3 + [1028] * 3))
    data = bytearray(png(2, 2, 16, 2, rows))
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert read_image(path).pixels[..., 0].tolist() == [[1, 2], [3, 4]]


XMP = b"<x:xmpmeta><!--" + bytes(65 + i % 26 for i in range(1_500_000)) + b"--></x:xmpmeta>"


def xmp_chunk(text: bytes, compressed: bool) -> tuple[bytes, bytes]:
    text = zlib.compress(text) if compressed else text
    return b"iTXt", b"XML:com.adobe.xmp\0" + bytes([compressed, 0]) + b"\0\0" + text


@pytest.mark.parametrize("compressed", [False, True])
def test_long_text_does_not_matter_to_the_pixels(tmp_path, compressed):
    chunk = xmp_chunk(XMP, compressed)
    loaded = read(tmp_path, chunk, (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000))))
    np.testing.assert_array_equal(loaded.pixels, PIXELS)
    assert loaded.notes == () and loaded.metadata.xmp == XMP
    loaded = read(tmp_path, xmp_chunk(XMP * 12, compressed))
    np.testing.assert_array_equal(loaded.pixels, PIXELS)
    assert loaded.notes == ("XMP over 16 MiB ignored",) and loaded.metadata.xmp is None


def test_exif_of_old_programs_is_read(tmp_path):
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHIII", 0x0112, 3, 1, 6, 0)
    digits = exif.hex().encode()
    lines = [digits[i : i + 72] for i in range(0, len(digits), 72)]
    text = b"\nexif\n%8d\n" % len(exif) + b"\n".join(lines)
    for chunk in (
        (b"tEXt", b"Raw profile type exif\0" + text),
        (b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(text)),
    ):
        loaded = read(tmp_path, chunk)
        np.testing.assert_array_equal(loaded.pixels, np.rot90(PIXELS, -1))
        assert loaded.notes == ("EXIF orientation applied",)


def test_indices_without_a_palette_are_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(2, 1, 8, 3, b"\0\0\1"))
    with pytest.raises(ImageError, match="a.png: has palette indices for pixels, but no palette"):
        read_image(path)
