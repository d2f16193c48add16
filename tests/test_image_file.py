"""Tests of reading pictures of any kind as 8-bit sRGB, and of writing them."""

import io
import re
import struct
import warnings

import numpy as np
import pytest
from picture_files import png, tiff
from PIL import Image, JpegImagePlugin

from diffcomp.files import image_decoding
from diffcomp.files.atomic_file import FileError
from diffcomp.files.image_file import (
    ImageError,
    decode_image,
    image_format,
    read_image,
    write_image,
)

pytestmark = pytest.mark.colab


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), np.uint8)


def save(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


def put(path, data: bytes):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("extension", ["png", "webp", "tif", "bmp", "ppm"])
@pytest.mark.parametrize("height, width", [(1, 1), (1, 5), (13, 7)])
def test_lossless_round_trip(tmp_path, extension, height, width):
    pixels = noise(height, width)
    path = tmp_path / f"picture.{extension}"
    write_image(path, pixels)
    loaded = read_image(path)
    np.testing.assert_array_equal(loaded.pixels, pixels)
    assert loaded.pixels.dtype == np.uint8 and loaded.pixels.flags.c_contiguous
    assert loaded.notes == ()


@pytest.mark.parametrize("extension", ["jpg", "jpeg", "JPG"])
def test_jpeg_is_written_without_chroma_subsampling(tmp_path, extension):
    pixels = np.broadcast_to(np.arange(0, 240, 10, dtype=np.uint8)[:, None, None], (24, 24, 3))
    path = tmp_path / f"picture.{extension}"
    write_image(path, pixels)
    with Image.open(path) as image:
        assert JpegImagePlugin.get_sampling(image) == 0
    loaded = read_image(path)
    assert np.abs(loaded.pixels.astype(int) - pixels).max() <= 3
    assert loaded.notes == ()


def test_avif_and_gif_are_read(tmp_path):
    pixels = np.full((6, 9, 3), (200, 60, 30), np.uint8)
    avif = read_image(save(tmp_path / "a.avif", Image.fromarray(pixels), quality=100))
    assert np.abs(avif.pixels.astype(int) - pixels).max() <= 3
    gif = read_image(save(tmp_path / "a.gif", Image.fromarray(pixels)))
    np.testing.assert_array_equal(gif.pixels, pixels)
    assert gif.notes == ("palette converted to RGB",)


# Each upright picture A as a camera held in that orientation stores it (TIFF 6.0, page 36).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[:, ::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize(
    ("extension", "orientation"),
    [*(("png", orientation) for orientation in STORED), ("webp", 6), ("tif", 6), ("jpg", 6)],
)
def test_exif_orientation(tmp_path, extension, orientation):
    upright = np.kron([[0, 50, 100], [150, 200, 250]], np.ones((8, 8))).astype(np.uint8)
    upright = np.stack([upright] * 3, axis=-1)
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100}}.get(extension, {})
    loaded = read_image(save(tmp_path / f"picture.{extension}", image, exif=exif, **options))
    assert loaded.pixels.shape == upright.shape
    tolerance = 2 if extension == "jpg" else 0
    assert np.abs(loaded.pixels.astype(int) - upright).max() <= tolerance
    assert loaded.notes == (() if orientation == 1 else ("EXIF orientation applied",))


def test_unknown_orientation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 9
    loaded = read_image(save(tmp_path / "a.png", Image.fromarray(noise(2, 3)), exif=exif))
    np.testing.assert_array_equal(loaded.pixels, noise(2, 3))
    assert loaded.notes == ()


def test_broken_exif_is_ignored(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(noise(2, 3)), exif=b"Exif\0\0no TIFF header")
    loaded = read_image(path)
    np.testing.assert_array_equal(loaded.pixels, noise(2, 3))
    assert loaded.notes == ("broken EXIF ignored",)


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_16_bit_grey_is_rounded_not_clipped(tmp_path, byte_order):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(values / 257).astype(np.uint8)
    notes = ("grey converted to RGB", "16-bit converted to 8-bit")
    for name in ("a.png", "a.tif"):
        image = Image.fromarray(values.astype(f"{byte_order}u2"))
        loaded = read_image(save(tmp_path / name, image))
        np.testing.assert_array_equal(loaded.pixels, np.stack([expected] * 3, axis=-1))
        assert loaded.notes == notes


def test_16_bit_grey_of_mode_i_is_rounded(tmp_path):
    path = put(tmp_path / "a.pgm", b"P5 3 1 65535\n" + struct.pack(">3H", 128, 129, 65535))
    loaded = read_image(path)
    assert loaded.pixels[0, :, 0].tolist() == [0, 1, 255]
    assert loaded.notes == ("grey converted to RGB", "16-bit converted to 8-bit")


def test_16_bit_rgb_is_noted(tmp_path):
    samples = np.array([0x80FF, 0x8101, 0xFFFF], ">u2").tobytes()
    loaded = read_image(put(tmp_path / "a.png", png(1, 1, 16, 2, b"\0" + samples)))
    # 128.494 and 128.502 of 255: rounded, not cut.
    assert loaded.pixels.tolist() == [[[128, 129, 255]]]
    assert loaded.notes == ("16-bit converted to 8-bit",)
    loaded = read_image(put(tmp_path / "a.ppm", b"P6 1 1 65535\n" + samples))
    assert loaded.notes == ("16-bit converted to 8-bit",)


@pytest.mark.parametrize(
    "bits, sample_format, row, expected",
    [
        (12, 1, bytes([0xFF, 0xF0, 0x08]), [255, 0]),
        (16, 1, struct.pack("<2H", 257, 65535), [1, 255]),
        (32, 3, struct.pack("<2f", 0.2, 1.0), [51, 255]),
    ],
)
def test_deep_tiff(tmp_path, bits, sample_format, row, expected):
    loaded = read_image(put(tmp_path / "a.tif", tiff(2, bits, sample_format, False, row)))
    assert loaded.pixels[0, :, 1].tolist() == expected
    kind = "float" if sample_format == 3 else f"{bits}-bit"
    assert loaded.notes == ("grey converted to RGB", f"{kind} converted to 8-bit")
    if bits > 12:  # Pillow refuses 12-bit files where white is zero.
        loaded = read_image(put(tmp_path / "b.tif", tiff(2, bits, sample_format, True, row)))
        assert loaded.pixels[0, :, 1].tolist() == [255 - value for value in expected]


@pytest.mark.parametrize(
    "values, text",
    [
        (
            np.array([[0.0, 1.5]], np.float32),
            "has samples from 0.0 to 1.5; they must be within 0..1",
        ),
        (np.array([[0.0, np.nan]], np.float32), "has samples from nan to nan"),
        (np.array([[-1, 5]], np.int32), "has samples from -1 to 5; they must be within 0..65535"),
        (np.array([[0, 65536]], np.int32), "has samples from 0 to 65536"),
    ],
)
def test_samples_of_unknown_range_are_refused(tmp_path, values, text):
    path = save(tmp_path / "a.tif", Image.fromarray(values))
    with pytest.raises(ImageError, match=re.escape(f"{path}: {text}")):
        read_image(path)


def test_grey_and_1_bit(tmp_path):
    grey = noise(3, 4)[..., 0]
    loaded = read_image(save(tmp_path / "a.png", Image.fromarray(grey)))
    np.testing.assert_array_equal(loaded.pixels, np.stack([grey] * 3, axis=-1))
    assert loaded.notes == ("grey converted to RGB",)
    loaded = read_image(save(tmp_path / "b.png", Image.fromarray(grey > 127)))
    np.testing.assert_array_equal(loaded.pixels[..., 2], 255 * (grey > 127))
    assert loaded.notes == ("black and white converted to RGB",)


def test_cmyk_jpeg_and_tiff(tmp_path):
    image = Image.new("CMYK", (8, 8), (255, 0, 51, 0))
    for name, tolerance in (("a.tif", 0), ("a.jpg", 2)):
        loaded = read_image(save(tmp_path / name, image))
        assert np.abs(loaded.pixels.astype(int) - (0, 255, 204)).max() <= tolerance
        assert loaded.notes == ("CMYK converted to sRGB",)


def test_cielab_tiff(tmp_path):
    # sRGB red under D50, the white of ICC profiles: L* = 54.29, a* = 80.81, b* = 69.89.
    lab = np.full((2, 2, 3), (round(54.29 * 2.55), 81, 70), np.uint8)
    loaded = read_image(save(tmp_path / "a.tif", Image.frombytes("LAB", (2, 2), lab.tobytes())))
    assert np.abs(loaded.pixels.astype(int) - (255, 0, 0)).max() <= 5
    assert loaded.notes == ("CIELAB converted to sRGB",)


def test_ycbcr_tiff(tmp_path):
    image = Image.new("RGB", (16, 16), (40, 120, 200)).convert("YCbCr")
    path = save(tmp_path / "a.tif", image)
    # The bytes that follow are what Pillow before 13 reads on to.
    for data in (path.read_bytes(), path.read_bytes() + bytes(5000)):
        path.write_bytes(data)
        loaded = read_image(path)
        assert np.abs(loaded.pixels.astype(int) - (40, 120, 200)).max() <= 3
        assert loaded.notes == ("YCbCr converted to sRGB",)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_opaque_alpha_is_dropped(tmp_path, mode):
    # Of a picture with colours, Pillow before 12 takes a fixed palette for PA.
    image = Image.new("LA", (3, 2), (9, 255)).convert(mode)
    loaded = read_image(save(tmp_path / "a.tif", image))
    np.testing.assert_array_equal(loaded.pixels, np.full((2, 3, 3), 9))
    assert not any("transparen" in note for note in loaded.notes)


def test_unused_transparent_index_is_dropped(tmp_path):
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    loaded = read_image(save(tmp_path / "a.png", image, transparency=0))
    np.testing.assert_array_equal(loaded.pixels, np.full((2, 3, 3), (10, 20, 30)))


def palette_picture() -> Image.Image:
    image = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    return image


TRANSPARENT = {
    # name: (bytes of the picture file, what it is over rgb(100, 150, 200))
    "rgba": (
        png(2, 1, 8, 6, b"\0" + bytes([10, 20, 30, 255, 200, 100, 50, 64])),
        [[10, 20, 30], [125, 137, 162]],
    ),
    "grey and alpha": (
        png(2, 1, 8, 4, b"\0" + bytes([7, 255, 8, 0])),
        [[7, 7, 7], [100, 150, 200]],
    ),
    "16-bit rgba": (
        png(1, 1, 16, 6, b"\0" + struct.pack(">4H", 0, 0, 65535, 0x3300)),
        [[80, 120, 211]],
    ),
    "grey key": (png(2, 1, 8, 0, b"\0\5\6", (b"tRNS", b"\0\5")), [[100, 150, 200], [6, 6, 6]]),
    "1-bit key": (
        png(2, 1, 1, 0, b"\0\x40", (b"tRNS", b"\0\1")),
        [[0, 0, 0], [100, 150, 200]],
    ),
    "2-bit key": (
        png(4, 1, 2, 0, b"\0\x1b", (b"tRNS", b"\0\2")),
        [[0] * 3, [85] * 3, [100, 150, 200], [255] * 3],
    ),
    "4-bit key": (
        png(2, 1, 4, 0, b"\0\x3c", (b"tRNS", b"\0\x0c")),
        [[51] * 3, [100, 150, 200]],
    ),
    "16-bit grey key": (
        png(2, 1, 16, 0, b"\0\x80\x80\x80\x81", (b"tRNS", b"\x80\x81")),
        [[128] * 3, [100, 150, 200]],
    ),
    "rgb key": (
        png(2, 1, 8, 2, b"\0\1\2\3\1\2\4", (b"tRNS", b"\0\1\0\2\0\3")),
        [[100, 150, 200], [1, 2, 4]],
    ),
    "16-bit rgb key": (
        png(2, 1, 16, 2, b"\0" + bytes(range(12)), (b"tRNS", bytes(range(6)))),
        [[100, 150, 200], [6, 8, 10]],
    ),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparency_is_refused_or_composited(tmp_path, name):
    data, expected = TRANSPARENT[name]
    path = put(tmp_path / "a.png", data)
    with pytest.raises(ImageError, match=f"{path}: has transparent pixels; give --background"):
        read_image(path)
    loaded = read_image(path, background=(100, 150, 200))
    assert loaded.pixels.tolist() == [expected]
    assert loaded.notes[-1] == "transparency composited over rgb(100, 150, 200)"


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255])])
@pytest.mark.parametrize("extension", ["png", "gif"])
def test_transparent_palette(tmp_path, extension, transparency):
    if extension == "gif":
        transparency = 1
    path = save(tmp_path / f"a.{extension}", palette_picture(), transparency=transparency)
    with pytest.raises(ImageError, match="has transparent pixels; give --background"):
        read_image(path)
    loaded = read_image(path, (0, 0, 255))
    assert loaded.pixels.tolist() == [[[10, 20, 30], [0, 0, 255], [70, 80, 90]]]
    assert "palette converted to RGB" in loaded.notes


def test_opaque_palette(tmp_path):
    loaded = read_image(save(tmp_path / "a.png", palette_picture()))
    assert loaded.pixels.tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    assert loaded.notes == ("palette converted to RGB",)


@pytest.mark.parametrize("background", [(0, 0), (0, 0, 256), (0.5, 0, 0)])
def test_bad_background(background):
    with pytest.raises(ValueError, match="it must be three integers in 0..255"):
        read_image("unused.png", background)


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "tif"])
@pytest.mark.parametrize("further", [1, 2])
def test_further_frames_are_ignored(tmp_path, extension, further):
    first, *rest = (Image.new("RGB", (3, 2), (60 * i, 0, 9)) for i in range(further + 1))
    path = tmp_path / f"a.{extension}"
    options = {"lossless": True} if extension == "webp" else {}
    loaded = read_image(save(path, first, save_all=True, append_images=rest, **options))
    np.testing.assert_array_equal(loaded.pixels, np.full((2, 3, 3), (0, 0, 9)))
    assert loaded.notes[-1] == f"{further} further frame{'s' * (further > 1)} ignored"


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "avif", "tif", "bmp", "gif"])
def test_truncated(tmp_path, extension):
    whole = save(tmp_path / f"whole.{extension}", Image.fromarray(noise(64, 64))).read_bytes()
    path = put(tmp_path / f"cut.{extension}", whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=f"^{path}: is "):
        read_image(path)


def test_corrupt_png(tmp_path):
    data = bytearray(png(8, 8, 8, 2, bytes(8 * 25)))
    data[-20] ^= 0xFF
    path = put(tmp_path / "a.png", bytes(data))
    with pytest.raises(ImageError, match=f"^{path}: is a broken or unsupported picture: "):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"just some text\n", b"\x89PNG\r\n\x1a\n"])
def test_not_a_picture(tmp_path, content):
    path = put(tmp_path / "a.png", content)
    with pytest.raises(ImageError, match=f"^{path}: is not a picture of a kind that Pillow can"):
        read_image(path)


def test_missing_and_directory(tmp_path):
    with pytest.raises(ImageError, match=f"^{tmp_path}/none.png: No such file or directory$"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match=f"^{tmp_path}: Is a directory$"):
        read_image(tmp_path)


def test_a_picture_in_memory_is_read_like_a_file_and_errors_have_its_name(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(noise(4, 6)[..., 0]))
    expected, loaded = read_image(path), decode_image(io.BytesIO(path.read_bytes()), "number 7")
    np.testing.assert_array_equal(loaded.pixels, expected.pixels)
    assert loaded.notes == expected.notes == ("grey converted to RGB",)
    with pytest.raises(ImageError, match="^number 7: is not a picture of a kind that Pillow can"):
        decode_image(io.BytesIO(b"none"), "number 7")


def test_size_limits(tmp_path):
    for width, height, text in [
        (60000, 60000, "3600000000 pixels"),
        (2**14, 2**14 + 1, f"exceeds limit of {2**28} pixels"),
        (65536, 1, "65536x1; neither side may exceed 65535"),
        (1, 65536, "1x65536; neither side may exceed 65535"),
    ]:
        path = put(tmp_path / "a.png", png(width, height, 8, 2, b""))
        with pytest.raises(ImageError, match=f"^{path}: is .*{text}"):
            read_image(path)
    longest = save(tmp_path / "b.png", Image.new("RGB", (65535, 1)))
    assert read_image(longest).pixels.shape == (1, 65535, 3)


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_limit_is_ours_and_pillows_is_restored(tmp_path, monkeypatch, extension):
    path = save(tmp_path / f"a.{extension}", Image.fromarray(noise(10, 10)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    monkeypatch.setattr(image_decoding, "_ORDINARY_PIXELS", 20)
    monkeypatch.setattr(image_decoding, "MAX_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(path).pixels, noise(10, 10))
    monkeypatch.setattr(image_decoding, "MAX_PIXELS", 98)
    with pytest.raises(ImageError, match="exceeds limit of 98 pixels"):
        read_image(path)
    assert Image.MAX_IMAGE_PIXELS == 20


def test_unknown_extension(tmp_path):
    assert image_format("A.PNG") == ".png"
    for name in ("a", "a.png.dfc"):
        with pytest.raises(
            ImageError, match=r"unknown extension '.*'; it must be one of \.png \.webp"
        ):
            write_image(tmp_path / name, noise(2, 2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "pixels", [noise(2, 2, 4), noise(2, 2)[0], noise(2, 2) / 255.0, np.zeros((0, 4, 3), np.uint8)]
)
def test_bad_pixels(tmp_path, pixels):
    with pytest.raises(ValueError, match=r"must be uint8 \[H, W, 3\]"):
        write_image(tmp_path / "a.png", pixels)


def test_picture_too_large_for_its_format_leaves_nothing(tmp_path):
    with pytest.raises(ImageError, match=r"a\.webp: cannot be written as WEBP: "):
        write_image(tmp_path / "a.webp", np.zeros((1, 16384, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_existing_picture_needs_overwrite(tmp_path):
    path = put(tmp_path / "a.png", b"precious")
    with pytest.raises(FileError, match=f"^{path}: exists already; give --force to replace it$"):
        write_image(path, noise(2, 2))
    assert path.read_bytes() == b"precious"
    write_image(path, noise(2, 2), overwrite=True)
    np.testing.assert_array_equal(read_image(path).pixels, noise(2, 2))
    assert list(tmp_path.iterdir()) == [path]
