"""Tests of JPEG files that end too early: only a missing end marker is forgiven."""

import io

import numpy as np
import pytest
from PIL import Image

from diffcomp.files.image_file import ImageError, decode_image

pytestmark = pytest.mark.colab

# Noise: of a smooth picture, a block that is missing may be equal to its neighbour.
PIXELS = np.random.default_rng(4).integers(0, 256, (50, 70, 3), np.uint8)

KINDS = {
    "baseline": {},
    "4:4:4": {"subsampling": "4:4:4", "quality": 100},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 1},
    "restart markers by rows": {"restart_marker_rows": 1},
}


def jpeg(pixels: np.ndarray = PIXELS, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def read(data: bytes):
    return decode_image(io.BytesIO(data), "a.jpg")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("tail", [b"", b"\xff"], ids=["nothing", "half a marker"])
def test_only_the_end_marker_is_missing(kind, grey, tail):
    data = jpeg(PIXELS[..., 0] if grey else PIXELS, **KINDS[kind])
    whole = read(data)
    loaded = read(data[:-2] + tail)
    np.testing.assert_array_equal(loaded.pixels, whole.pixels)
    assert loaded.notes == ("missing end marker of the JPEG ignored", *whole.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_data_are_not_forgiven(kind):
    data = jpeg(**KINDS[kind])[:-2]
    whole = read(data + b"\xff\xd9")
    start = data.rindex(b"\xff\xda")
    refused = 0
    for length in [*range(start, len(data) - 2, 61), *range(len(data) - 40, len(data))]:
        try:
            loaded = read(data[:length])
        except ImageError as error:
            assert str(error).startswith("a.jpg: is a broken or unsupported picture: ")
            refused += 1
        else:
            # The last bits may make no difference to any pixel.
            assert len(data) - length < 8
            np.testing.assert_array_equal(loaded.pixels, whole.pixels)
    assert refused > 30


def test_a_progressive_picture_without_its_last_scans_is_refused():
    data = jpeg(progressive=True)
    scans = [i for i in range(len(data) - 1) if data[i : i + 2] == b"\xff\xda"]
    tables = b"\xff\xc4"  # of a scan, in front of it
    ends = [data.rfind(tables, 0, scan) for scan in scans[1:]]
    assert len(ends) > 5
    for end in ends:
        with pytest.raises(ImageError, match="is a broken or unsupported picture: "):
            read(data[:end])


def test_what_follows_the_end_does_not_matter():
    data = jpeg()
    loaded = read(data + b"anything")
    np.testing.assert_array_equal(loaded.pixels, read(data).pixels)
    assert loaded.notes == ()
