"""The drawn pictures, and that they show what they are for."""

import numpy as np
import pytest

from diffcomp.evaluation.baselines import baseline_candidate
from diffcomp.evaluation.failure_pictures import failure_pictures
from diffcomp.evaluation.image_sets import open_images
from diffcomp.evaluation.metrics.catalogue import compare
from diffcomp.evaluation.protocols import PROTOCOLS

PICTURES = failure_pictures()


def test_they_are_the_same_each_time_and_no_two_alike():
    again = failure_pictures()
    assert list(again) == list(PICTURES) and len(PICTURES) == 10
    for name, pixels in PICTURES.items():
        assert pixels.shape == (512, 512, 3) and pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, again[name])
        assert pixels.std() > 5, name
    assert len({pixels.tobytes() for pixels in PICTURES.values()}) == len(PICTURES)


def test_each_shows_what_it_is_called():
    assert set(np.unique(PICTURES["checkers_1"])) == {0, 255}
    assert np.all(PICTURES["checkers_1"][:-1] != PICTURES["checkers_1"][1:])
    assert np.all(PICTURES["checkers_8"][:8, :8] == PICTURES["checkers_8"][0, 0])
    assert 100 < np.count_nonzero(PICTURES["stars"][..., 0] > 50) <= 600
    steps = np.abs(np.diff(PICTURES["gradients"].astype(int), axis=1))
    assert steps.max() == 1
    dark = {name: (PICTURES[name] < 128).mean() for name in ("text_12", "text_24", "line_art")}
    assert all(0.02 < share < 0.5 for share in dark.values()), dark
    red = PICTURES["red_on_blue"]
    assert np.all(red[..., 1] == 0) and 0.2 < (red[..., 0] > 128).mean() < 0.8


def test_halved_chroma_is_seen_on_red_and_blue_and_banding_on_flat_colours():
    candidate = {name: baseline_candidate(name) for name in ("jpeg", "jpeg444")}
    picture = PICTURES["red_on_blue"]
    values = {
        name: compare("psnr", c.decode(c.encode(picture, 90)), picture)
        for name, c in candidate.items()
    }
    assert values["jpeg444"] > values["jpeg"] + 3
    flat, coder = PICTURES["flat_colours"], candidate["jpeg"]
    errors = [
        compare("flat_colour", coder.decode(coder.encode(flat, quality)), flat)
        for quality in (90, 5)
    ]
    assert errors[0] < 1 < errors[1]


def test_the_protocol_draws_them_and_takes_no_others(tmp_path):
    images = open_images([], PROTOCOLS["failures"])
    assert [image.name for image in images] == list(PICTURES) and images.size() == 10
    with pytest.raises(ValueError, match="Protocol failures draws its images; it takes no others"):
        open_images([str(tmp_path)], PROTOCOLS["failures"])
