"""Tests of TIFF files: previews, channels that lie apart, colours by tags. tifffile writes them."""

import io
import re
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL
import pytest
import tifffile
import tiny_model
from picture_files import P3_TO_XYZ, SRGB_TO_XYZ, srgb_encode

from diffcomp import cli
from diffcomp.files.image_file import ImageError, decode_image

pytestmark = pytest.mark.colab

# Since 12.2 it does not open RGB whose fourth channel, of no stated meaning, lies apart.
PILLOW = tuple(map(int, PIL.__version__.split(".")[:2]))

FULL = np.random.default_rng(1).integers(0, 256, (24, 36, 3), np.uint8)
PREVIEW = FULL[::4, ::4].copy()


def written(*pages: tuple[np.ndarray, dict], **options) -> io.BytesIO:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **options) as writer:
        for samples, arguments in pages:
            writer.write(samples, **{"photometric": "rgb", "metadata": None, **arguments})
    return file


def read(file: io.BytesIO):
    return decode_image(file, "a.tif")


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}])
@pytest.mark.parametrize("below", [False, True], ids=["next", "below"])
def test_the_full_picture_is_read_and_not_the_preview(options, below):
    first = {"subfiletype": 1, "subifds": 1} if below else {"subfiletype": 1}
    loaded = read(written((PREVIEW, first), (FULL, {"compression": "zlib"}), **options))
    np.testing.assert_array_equal(loaded.pixels, FULL)
    assert loaded.notes == ("preview before the full picture ignored",)


def test_the_full_picture_stands_between_previews_and_masks():
    mask = (FULL[..., 0] > 99, {"subfiletype": 4, "photometric": "minisblack"})
    preview = (PREVIEW, {"subfiletype": 1})
    loaded = read(written(preview, mask, preview, (FULL, {}), (FULL[::-1].copy(), {})))
    np.testing.assert_array_equal(loaded.pixels, FULL)
    assert loaded.notes == (
        "preview before the full picture ignored",
        "1 further frame ignored",
    )


def test_a_preview_without_another_picture_is_read_and_called_one():
    loaded = read(written((PREVIEW, {"subfiletype": 1})))
    np.testing.assert_array_equal(loaded.pixels, PREVIEW)
    assert loaded.notes == ("the file calls this picture a preview, and has no other",)


def test_the_first_page_is_read_and_a_larger_one_named():
    loaded = read(written((PREVIEW, {}), (FULL, {})))
    np.testing.assert_array_equal(loaded.pixels, PREVIEW)
    assert loaded.notes == ("a further frame is larger: 36x24", "1 further frame ignored")
    loaded = read(written((FULL, {"subifds": 1}), (PREVIEW, {"subfiletype": 1})))
    np.testing.assert_array_equal(loaded.pixels, FULL)
    assert loaded.notes == ()


@pytest.mark.parametrize("photometric", [32803, 34892])
@pytest.mark.parametrize("below", [False, True])
def test_raw_data_of_a_camera_is_refused(photometric, below):
    raw = (FULL if photometric == 34892 else FULL[..., 0].copy(), {"photometric": photometric})
    first = {"subfiletype": 1, "subifds": 1} if below else {"subfiletype": 1}
    with pytest.raises(ImageError, match="^a.tif: holds a camera's raw data"):
        read(written((PREVIEW, first), raw))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planes", [False, True], ids=["together", "apart"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("parts", [{}, {"rowsperstrip": 7}, {"tile": (16, 32)}])
def test_every_layout_of_channels_is_exact(dtype, planes, byteorder, compression, parts):
    white = np.iinfo(dtype).max
    samples = np.random.default_rng(2).integers(0, white + 1, (40, 50, 4)).astype(dtype)
    samples[..., 3] = white
    options = {
        "planarconfig": "separate" if planes else "contig",
        "compression": compression,
        "predictor": compression is not None,
        "extrasamples": ["unassalpha"],
        **parts,
    }
    stored = np.moveaxis(samples, -1, 0) if planes else samples
    loaded = read(written((stored, options), byteorder=byteorder))
    expected = np.rint(samples[..., :3] * (255 / white))
    np.testing.assert_array_equal(loaded.pixels, expected)
    assert loaded.notes == (("16-bit converted to 8-bit",) if dtype == np.uint16 else ())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planes", [False, True], ids=["together", "apart"])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha", "unspecified"])
def test_alpha_is_what_its_tag_says(dtype, planes, kind):
    white = np.iinfo(dtype).max
    samples = np.full((2, 2, 4), (0.2 * white, 0.1 * white, 0.4 * white, 0.5 * white), dtype)
    stored = np.moveaxis(samples, -1, 0).copy() if planes else samples
    options = {"planarconfig": "separate" if planes else "contig", "extrasamples": [kind]}
    file = written((stored, options))
    if kind == "unspecified" and planes and dtype == np.uint8 and PILLOW >= (12, 2):
        with pytest.raises(ImageError, match=re.escape("ExtraSamples (0,), PlanarConfiguration 2")):
            read(file)
        return
    if kind == "unspecified":
        color = read(file).pixels[0, 0]
        expected = (51, 25.5, 102)
    else:
        with pytest.raises(ImageError, match="has transparent pixels"):
            read(file)

        color = decode_image(file, "x", (0, 0, 0)).pixels[0, 0]
        # Associated colours were multiplied by their opacity before.
        expected = (51, 25.5, 102) if kind == "assocalpha" else (25.5, 12.75, 51)
    assert np.abs(color - np.array(expected)).max() <= 1


def test_ycbcr_that_pillow_misreads_is_refused():
    samples = np.random.default_rng(5).integers(0, 256, (3, 16, 16)).astype(np.uint8)
    options = {"photometric": "ycbcr", "planarconfig": "separate"}
    with pytest.raises(ImageError, match="^a.tif: is a TIFF whose YCbCr channels lie apart"):
        read(written((samples, options)))
    # The tag's numbers are changed, as if four pixels shared their colours.
    data = bytearray(
        written((np.moveaxis(samples, 0, -1).copy(), {"photometric": "ycbcr"})).getvalue()
    )
    tag = struct.pack("<HHIHH", 530, 3, 2, 1, 1)
    data[(at := data.index(tag)) : at + len(tag)] = struct.pack("<HHIHH", 530, 3, 2, 2, 2)
    with pytest.raises(ImageError, match="uncompressed YCbCr subsampled by .2, 2.,"):
        read(io.BytesIO(data))


def test_cmyk_apart_is_cmyk_together():
    inks = np.random.default_rng(3).integers(0, 65536, (6, 5, 4)).astype(np.uint16)
    options = {"photometric": "separated"}
    together = read(written((inks, {**options, "planarconfig": "contig"})))
    planes = np.moveaxis(inks, -1, 0).copy()
    apart = read(written((planes, {**options, "planarconfig": "separate"})))
    # Pillow cuts where this package rounds: one level in the ink, one in the black.
    assert np.abs(together.pixels.astype(int) - apart.pixels).max() <= 2
    assert together.notes == apart.notes
    assert apart.notes == ("CMYK converted to sRGB", "16-bit converted to 8-bit")


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_signed_samples_are_refused(dtype, options, compression):
    grey = np.array([[0, 60, 127]], dtype)
    file = written((grey, {"photometric": "minisblack", "compression": compression}), **options)
    bits = 8 * grey.itemsize
    # Pillow has no name for signed 8-bit samples of big-endian files.
    with pytest.raises(ImageError, match=f"signed {bits}-bit samples|BitsPerSample ..,., SampleF"):
        read(file)


def test_32_bit_samples_are_16_bit_ones_or_refused_with_their_true_range():
    minisblack = {"photometric": "minisblack"}
    loaded = read(written((np.array([[0, 257, 65535]], np.uint32), minisblack)))
    assert loaded.pixels[0, :, 0].tolist() == [0, 1, 255]
    assert "32-bit samples read as 16-bit" in loaded.notes
    file = written((np.array([[0, 2**31, 2**32 - 1]], np.uint32), minisblack))
    with pytest.raises(ImageError, match=re.escape("from 0 to 4294967295; they must be within 0")):
        read(file)


@pytest.mark.parametrize(
    "samples, text",
    [
        (np.zeros((2, 2, 3), np.float32), "BitsPerSample (32, 32, 32), SampleFormat (3, 3, 3)"),
        (np.zeros((2, 2, 3), np.uint32), "BitsPerSample (32, 32, 32)"),
    ],
)
def test_what_pillow_does_not_read_is_named(samples, text):
    with pytest.raises(ImageError, match="^a.tif: is a TIFF of a kind.*" + re.escape(text)):
        read(written((samples, {})))


def test_big_endian_bigtiff_is_named():
    with pytest.raises(ImageError, match="is a big-endian BigTIFF, which Pillow does not read"):
        read(written((FULL, {}), bigtiff=True, byteorder=">"))


def rational(*values: float) -> tuple[int, ...]:
    return tuple(part for value in values for part in (round(10000 * value), 10000))


def test_colours_by_tags_are_converted():
    white, place = (0.3127, 0.3290), (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
    gamma = np.rint(65535 * (np.arange(256) / 255) ** 1.8).astype(int).tolist()
    tags = [(318, 5, 2, rational(*white)), (319, 5, 6, rational(*place))]
    for extra, exponent in (([], None), ([(301, 3, 256, gamma)], 1.8)):
        loaded = read(written((FULL, {"extratags": tags + extra})))
        encoded = FULL / 255
        srgb = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
        linear = encoded**exponent if exponent else srgb
        expected = srgb_encode(linear @ P3_TO_XYZ.T @ np.linalg.inv(SRGB_TO_XYZ).T)
        assert np.abs(loaded.pixels - expected).max() <= 1
        assert loaded.notes == ("colours of TIFF tags converted to sRGB",)


def test_colour_tags_of_srgb_change_nothing():
    place = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    loaded = read(written((FULL, {"extratags": [(319, 5, 6, rational(*place))]})))
    np.testing.assert_array_equal(loaded.pixels, FULL)
    assert loaded.notes == ()
    flat = (0.3, 0.3) * 3
    loaded = read(written((FULL, {"extratags": [(319, 5, 6, rational(*flat))]})))
    np.testing.assert_array_equal(loaded.pixels, FULL)
    assert loaded.notes == ("TIFF colour tags ignored: they span no colours",)


def test_directories_in_a_circle_end():
    data = bytearray(written((FULL, {}), byteorder="<").getvalue())
    first = int.from_bytes(data[4:8], "little")
    link = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[link : link + 4] = data[4:8]
    try:
        loaded = read(io.BytesIO(data))
    except ImageError as error:
        assert "a.tif: is a broken" in str(error)
    else:
        np.testing.assert_array_equal(loaded.pixels, FULL)


read_with_a_warning = pytest.mark.skipif(
    PILLOW < (13, 0), reason="Pillow 11 does not open such files at all"
)


def with_tags_beyond_the_end(*tags: int) -> io.BytesIO:
    """A whole picture with texts that claim a megabyte."""
    texts = [(tag, 2, 0, "x" * 50, True) for tag in tags]
    data = written((FULL, {"extratags": texts})).getvalue()
    for tag in tags:
        claim = struct.pack("<HHI", tag, 2, 51)
        assert data.count(claim) == 1
        data = data.replace(claim, struct.pack("<HHI", tag, 2, 2**20))
    return io.BytesIO(data)


@read_with_a_warning
@pytest.mark.filterwarnings("error")
def test_what_pillow_warns_of_is_a_note():
    loaded = read(with_tags_beyond_the_end(270))
    np.testing.assert_array_equal(loaded.pixels, FULL)
    (note,) = loaded.notes
    # Pillow 13 skips further tags: it adds up what they claim.
    assert re.fullmatch(r"Pillow warns: .* 270( \(and \d more\))?", note)
    (note,) = read(with_tags_beyond_the_end(270, 315)).notes
    assert re.fullmatch(r"Pillow warns: .* \(and \d more\)", note)
    assert not read(written((FULL, {}))).notes


@read_with_a_warning
def test_pictures_that_are_read_at_once_have_their_own_warnings():
    """And what was shown of warnings before is shown after."""
    files = [with_tags_beyond_the_end(270), written((FULL, {}))] * 8
    shown, filters = warnings.showwarning, list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        notes = [loaded.notes for loaded in pool.map(read, files)]
    assert [len(of_one) for of_one in notes] == [1, 0] * 8
    assert warnings.showwarning is shown and warnings.filters == filters


@read_with_a_warning
def test_the_command_shows_no_warning_of_pillow(tmp_path, capfd):
    path = tmp_path / "a.tif"
    path.write_bytes(with_tags_beyond_the_end(270).getvalue())
    args = ["compress", str(path), str(tmp_path / "a.dfc"), "--model", str(tiny_model.MODEL)]
    assert cli.main(args) == 0
    note, result = capfd.readouterr().err.splitlines()
    assert note.startswith(f"{path}: Pillow warns: ") and result.endswith(" bpp")


def test_a_refusal_whose_tags_have_no_value():
    """PhotometricInterpretation is there, with 257 values."""
    data = bytearray(written((FULL, {"photometric": "rgb"})).getvalue())
    at = data.index(struct.pack("<HHI", 262, 3, 1))
    data[at + 4 : at + 12] = struct.pack("<II", 257, 0)
    with pytest.raises(ImageError, match="is a TIFF of a kind that Pillow does not read: "):
        decode_image(io.BytesIO(data), "a.tif")
