"""`.dfc` files in Pillow."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diffcomp.pillow
from diffcomp import codec
from diffcomp.coding.bitstream import BitstreamError
from diffcomp.decode_settings import DecodeSettings
from diffcomp.export.shipped_models import ModelError

TINY = str(Path(__file__).parent / "golden" / "tiny_model")


@pytest.fixture
def tiny(monkeypatch):
    """The tiny model, known to the plug-in for the time of a test."""
    monkeypatch.setattr(diffcomp.pillow, "_folders", {})
    diffcomp.pillow.add_model(TINY)
    return codec.load(TINY)


def test_a_picture_and_back_as_the_codec_gives_it(tmp_path, photo, tiny):
    path = tmp_path / "x.dfc"
    Image.fromarray(photo).save(path, quality=5, model=TINY)
    assert path.read_bytes() == tiny.compress(photo, 5)
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size) == ("DFC", "RGB", photo.shape[1::-1])
        assert image.info["quality"] == 5.0
        np.testing.assert_array_equal(np.asarray(image), tiny.decompress(path.read_bytes()))


def test_settings_and_copies(photo, tiny):
    data = tiny.compress(photo, 2)
    image = Image.open(io.BytesIO(data))
    image.settings = DecodeSettings(realism=0.0)
    expected = tiny.decompress(data, realism=0.0)
    np.testing.assert_array_equal(np.asarray(image.copy()), expected)
    np.testing.assert_array_equal(np.asarray(image.crop((3, 4, 9, 9))), expected[4:9, 3:9])


def test_damaged_files_say_so(photo, tiny):
    data = bytearray(tiny.compress(photo, 2))
    data[40] ^= 1
    with pytest.raises(BitstreamError):
        Image.open(io.BytesIO(data))
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(io.BytesIO(b"no picture"))


def test_files_of_unknown_models_name_them(photo, tiny, monkeypatch):
    data = tiny.compress(photo, 2)
    monkeypatch.setattr(diffcomp.pillow, "_folders", {})
    image = Image.open(io.BytesIO(data))
    with pytest.raises(ModelError, match="made by model [0-9a-f]{8}, which is none of .*base"):
        image.load()


@pytest.mark.parametrize("mode", ["RGBA", "L", "CMYK"])
def test_other_modes_are_refused_and_nothing_is_left(tmp_path, mode):
    with pytest.raises(OSError, match=f"cannot write mode {mode} as DFC"):
        Image.new(mode, (8, 8)).save(tmp_path / "x.dfc", model=TINY)
    assert not list(tmp_path.iterdir())


def test_sizes_are_read_without_jax(tmp_path, photo, tiny):
    (tmp_path / "x.dfc").write_bytes(tiny.compress(photo, 2))
    program = (
        "import sys, diffcomp.pillow; from PIL import Image\n"
        f"print(Image.open({str(tmp_path / 'x.dfc')!r}).size, 'jax' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.split("\n")[0] == f"({photo.shape[1]}, {photo.shape[0]}) False", run.stderr
