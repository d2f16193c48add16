"""The weights in the package: they load, they are small enough, and they compress a photograph."""

import numpy as np
import pytest

import diffcomp
from diffcomp import demo
from diffcomp.distances.distortion import psnr
from diffcomp.export.shipped_models import DEFAULT_MODEL, MODELS, model_names

LARGEST = 25_000_000  # bytes of a shipped model


@pytest.fixture(scope="module")
def coder():
    return diffcomp.load()


@pytest.fixture(scope="module")
def face(photo):
    """A photograph whose sides are no multiples of anything: uint8 [90, 121, 3]."""
    return photo[:90, :121].copy()


@pytest.mark.colab
def test_the_model_is_small_and_described(coder):
    folder = MODELS / DEFAULT_MODEL
    assert sum(file.stat().st_size for file in folder.iterdir()) <= LARGEST
    assert (folder / "README.md").read_text().startswith("# ")
    assert model_names()[coder.model.coder.fingerprint] == DEFAULT_MODEL


def test_every_shipped_model_is_small_and_described_and_reads_its_files(face):
    folders = [path.parent for path in MODELS.glob("*/model.json")]
    assert len(model_names()) == len(folders) >= 1  # each has a fingerprint of its own
    for folder in folders:
        assert sum(file.stat().st_size for file in folder.iterdir()) <= LARGEST
        assert (folder / "README.md").read_text().startswith(f"# Model `{folder.name}`\n")
        each = diffcomp.load(folder.name)
        assert each.model.name == folder.name
        assert psnr(each.decompress(each.compress(face, 6)), face) > 25


@pytest.mark.colab
def test_more_quality_costs_more_and_gives_more(coder, face):
    rows = []
    for quality in (1, 3, 5, 8):
        data = coder.compress(face, quality)
        rows.append((len(data), psnr(coder.decompress(data, steps=1, realism=0), face)))
    sizes, errors = zip(*rows, strict=True)
    assert list(sizes) == sorted(sizes)
    assert list(errors) == sorted(errors)
    # Floors a decibel and a ceiling a tenth off what was measured: a broken model is far off.
    assert errors[0] > 20 and errors[-1] > 30
    assert 8 * sizes[0] / face[..., 0].size < 0.5


def test_no_quality_is_far_dearer_than_its_neighbours(coder):
    """Flat areas tell: an encoder whose features change sign there at some quality wastes bits."""
    row, column = np.mgrid[:256, :256] / 256
    sky = np.stack([120 + 60 * row, 150 + 50 * row, 200 + 30 * row - 10 * column], axis=-1)
    sky = (sky + np.random.default_rng(0).normal(size=sky.shape)).round().astype(np.uint8)
    bpp = np.array([coder.bpp_estimate(sky, quality) for quality in np.arange(1, 8.01, 1 / 16)])
    assert np.all(bpp[4:-4] < 1.5 * np.sqrt(bpp[8:] * bpp[:-8]))  # a quarter below and above


@pytest.mark.colab
def test_a_file_is_as_long_as_the_model_expects(coder, face):
    for quality in (1, 4, 8):
        padded = np.pad(face, ((0, 38), (0, 7), (0, 0)), mode="edge")
        bits = 8 * len(coder.compress(padded, quality))
        estimate = coder.bpp_estimate(padded, quality) * padded[..., 0].size
        assert abs(bits - estimate) <= 0.01 * estimate + 8 * 32


def test_without_realism_the_picture_is_nearer_to_the_original(coder, face):
    data = coder.compress(face, 2)
    exact, natural = (coder.decompress(data, realism=realism) for realism in (0, 1))
    assert exact.shape == natural.shape == face.shape
    assert psnr(exact, face) > psnr(natural, face)


def test_the_demonstration_writes_its_pictures(tmp_path, capsys):
    assert demo.main(["--out", str(tmp_path), "--quality", "2"]) == 0
    printed = capsys.readouterr().out
    for word in ("bytes", "bpp", "PSNR", "compress", "decompress"):
        assert word in printed
    assert (tmp_path / "photo.dfc").stat().st_size > 1000
    assert (tmp_path / "original_decoded.png").exists()
