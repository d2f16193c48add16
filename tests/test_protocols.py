"""Sizes, crops and filter of the data sets' protocols."""

import numpy as np
import pytest
from PIL import Image

from diffcomp.evaluation.protocols import PROTOCOLS, get_protocol


def ramp(height, width):
    """Brightness rises from left to right."""
    row = np.linspace(0, 255, width).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


@pytest.mark.parametrize("name", ["none", "kodak", "clic", "clic2025", "cid22", "gb82"])
def test_as_they_are(name):
    image = ramp(31, 47)
    assert PROTOCOLS[name].prepare(image) is image


def test_tecnick_is_resized_by_the_stated_filter():
    image = ramp(1200, 1200)
    expected = Image.fromarray(image).resize((512, 512), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(PROTOCOLS["tecnick"].prepare(image), np.asarray(expected))
    assert "Lanczos" in PROTOCOLS["tecnick"].description


@pytest.mark.parametrize(("height", "width"), [(1356, 2040), (2040, 1356), (768, 1000), (500, 700)])
def test_div2k_is_the_middle_of_the_resized_picture(height, width):
    wide = PROTOCOLS["div2k"].prepare(ramp(height, width))
    assert wide.shape == (768, 768, 3)
    row = wide[300, :, 0].astype(float)
    assert abs(row[0] + row[-1] - 255) < 2  # as much is cut off at the left as at the right
    share = min(height, width) / width
    assert abs((row[-1] - row[0]) / 255 - share) < 0.02


def test_coco_takes_large_images_only_and_changes_their_shape():
    assert PROTOCOLS["coco"].prepare(ramp(512, 640)) is None
    assert PROTOCOLS["coco"].prepare(ramp(513, 640)).shape == (384, 384, 3)


def test_another_name_lists_the_protocols():
    with pytest.raises(ValueError, match="protocol is 'kodac'; it must be one of: none, kodak,"):
        get_protocol("kodac")
