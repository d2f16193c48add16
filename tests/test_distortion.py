import math

import numpy as np
import pytest

from diffcomp.distances.distortion import bpp, mse, psnr

BLACK = np.zeros((2, 3, 3), np.uint8)


def test_one_channel_off_by_ten_is_averaged_over_all_eighteen_values():
    image = BLACK.copy()
    image[1, 2, 0] = 10
    assert mse(image, BLACK) == pytest.approx(100 / 18, rel=1e-12)
    # 10 * log10(65025 * 18 / 100)
    assert psnr(image, BLACK) == pytest.approx(40.6835287, abs=1e-6)


def test_an_error_of_one_everywhere_is_48_13_db():
    assert mse(BLACK + np.uint8(1), BLACK) == 1.0
    assert psnr(BLACK + np.uint8(1), BLACK) == pytest.approx(48.1308036, abs=1e-6)


def test_black_against_white_is_0_db_both_ways():
    white = np.full_like(BLACK, 255)
    assert mse(white, BLACK) == mse(BLACK, white) == 255**2  # would wrap in uint8
    assert psnr(white, BLACK) == psnr(BLACK, white) == 0.0


def test_identical_images_have_no_error_and_infinite_psnr():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert mse(image, image.copy()) == 0.0
    assert psnr(image, image.copy()) == math.inf


def test_results_are_python_floats():
    assert type(mse(BLACK, BLACK)) is float
    assert type(psnr(BLACK + np.uint8(1), BLACK)) is float
    assert type(bpp(1, 1, 1)) is float


@pytest.mark.parametrize("metric", [mse, psnr])
def test_different_shapes_are_refused_naming_both(metric):
    with pytest.raises(ValueError, match=r"\(2, 3, 3\) and reference uint8 \(3, 2, 3\)"):
        metric(BLACK, BLACK.reshape(3, 2, 3))


@pytest.mark.parametrize("metric", [mse, psnr])
def test_different_dtypes_are_refused_naming_both(metric):
    with pytest.raises(ValueError, match=r"image is float32 .* and reference uint8"):
        metric(BLACK.astype(np.float32), BLACK)


@pytest.mark.parametrize(
    "image",
    [
        BLACK.astype(np.float32),
        BLACK[..., :1],
        BLACK[..., 0],
        BLACK[None],
        BLACK[:0],
    ],
)
def test_what_is_no_rgb_image_is_refused(image):
    with pytest.raises(ValueError, match=r"must be uint8 \[H, W, 3\] and not empty"):
        mse(image, image)


def test_bpp_counts_eight_bits_for_each_byte_and_each_pixel_once():
    assert bpp(num_bytes=49152, height=512, width=768) == 1.0
    assert bpp(num_bytes=3, height=5, width=7) == pytest.approx(24 / 35, rel=1e-12)
    assert bpp(num_bytes=0, height=1, width=1) == 0.0


def test_bpp_refuses_a_negative_size_and_an_empty_image():
    with pytest.raises(ValueError, match="num_bytes is -1; it must be at least 0"):
        bpp(-1, 4, 4)
    with pytest.raises(ValueError, match="image is 0x4 pixels; both sides must be at least 1"):
        bpp(1, 0, 4)
    with pytest.raises(ValueError, match="image is 4x-2 pixels"):
        bpp(1, 4, -2)
