"""Drawn pictures: every kind, seeded, in a folder that training reads; collages of clip art."""

import shutil

import numpy as np
import pytest
from child_processes import run_launch

from diffcomp.data.collages import SIDE as COLLAGE_SIDE
from diffcomp.data.collages import collage, files_by_folder
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


@pytest.fixture
def art(tmp_path):
    """Clip art in two folders: a red square, a blue disc, and a file that is none."""
    drawings = {
        "shapes/square": '<rect width="90" height="90" fill="#f00"/>',
        "shapes/broken": "<",
        "round/disc": '<circle cx="50" cy="50" r="40" fill="#00f"/>',
    }
    for name, drawing in drawings.items():
        file = tmp_path / "art" / f"{name}.svg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100">{drawing}</svg>'
        )
    return tmp_path / "art"


needs_librsvg = pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="no rsvg-convert")


@needs_librsvg
def test_a_collage_is_seeded_and_shows_the_art(art):
    groups = files_by_folder(art, ".svg")
    assert [[path.stem for path in group] for group in groups] == [["disc"], ["broken", "square"]]
    pictures = [collage(np.random.default_rng(seed), groups) for seed in (1, 1, 2)]
    assert pictures[0].shape == (COLLAGE_SIDE, COLLAGE_SIDE, 3)
    assert pictures[0].dtype == np.uint8
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert np.any(pictures[0] != pictures[2])
    for colour in ((255, 0, 0), (0, 0, 255)):
        assert any(np.all(picture == colour, axis=-1).sum() > 500 for picture in pictures)


@needs_librsvg
def test_a_folder_of_collages(tmp_path, art):
    done = run_launch("draw.py", tmp_path / "drawn", "--count=2", f"--art={art}")
    assert done.returncode == 0, done.stderr
    source = FolderImages(str(tmp_path / "drawn"))
    expected = collage(np.random.default_rng((0, 1)), files_by_folder(art, ".svg"))
    np.testing.assert_array_equal(source.read(1), expected)


def test_no_art_to_draw(tmp_path):
    done = run_launch("draw.py", tmp_path / "drawn", f"--art={tmp_path}")
    assert done.returncode != 0
    assert "no .svg file" in done.stderr + done.stdout or "not installed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "drawn").exists()
