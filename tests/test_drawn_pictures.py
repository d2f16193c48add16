"""Drawn pictures: every kind, seeded, in a folder that training reads."""

import numpy as np
import pytest
from child_processes import run_launch

from diffcomp.data.drawn_pictures import _KINDS, SIDE, drawn_picture
from diffcomp.data.image_sources import FolderImages
from diffcomp.evaluation.failure_pictures import failure_pictures


@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_is_seeded_and_differs_between_seeds(kind):
    first, again, other = (_KINDS[kind](np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (SIDE, SIDE, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@pytest.mark.parametrize("kind", sorted(set(_KINDS) - {"flats"}))
def test_something_is_drawn(kind):
    for seed in range(4):
        assert np.ptp(_KINDS[kind](np.random.default_rng(seed)), axis=(0, 1)).max() >= 20


def test_no_picture_that_models_are_judged_by_is_drawn():
    judged = [picture.tobytes() for picture in failure_pictures().values()]
    drawn = [drawn_picture(np.random.default_rng((0, n))).tobytes() for n in range(60)]
    assert not set(judged) & set(drawn)


def test_a_folder_for_training(tmp_path):
    done = run_launch("draw.py", tmp_path / "drawn", "--count=3")
    assert done.returncode == 0, done.stderr
    source = FolderImages(str(tmp_path / "drawn"))
    assert len(source) == 3
    expected = drawn_picture(np.random.default_rng((0, 2)))
    np.testing.assert_array_equal(source.read(2), expected)
    # The pictures of another run are not mixed in, nor written over.
    again = run_launch("draw.py", tmp_path / "drawn")
    assert again.returncode == 1
    assert again.stderr.startswith("draw: cannot make the folder")
