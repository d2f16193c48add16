import io
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffcomp.data.config import DataConfig
from diffcomp.data.crop_slots import CropSlots
from diffcomp.data.image_sources import open_sources
from diffcomp.data.packed_images import PackedImages, pack
from diffcomp.files.image_file import ImageError

ROOT = Path(__file__).resolve().parents[1]


def named(photo, count=4):
    return [(f"photo {i}.png", lambda i=i: np.roll(photo, 7 * i, axis=1)) for i in range(count)]


def test_pictures_come_back_in_order_and_almost_as_they_were(photo, tmp_path):
    out = tmp_path / "photos.zip"
    done = pack(named(photo), out, 10**6)
    assert (done.images, done.left_out, done.size) == (4, (), out.stat().st_size)
    (source,) = open_sources(f"packed:{out}")
    assert len(source) == 4
    assert list(source.sizes(1)) == [(128, 96)] * 4
    for i in range(4):
        error = np.abs(source.read(i).astype(int) - np.roll(photo, 7 * i, axis=1))
        assert error.mean() < 3


def test_the_limit_holds_and_a_tighter_one_costs_quality_first(photo, tmp_path):
    out = tmp_path / "photos.zip"
    wide = pack(named(photo), out, 10**6)
    tight = pack(named(photo), out, wide.size // 2)
    assert tight.size <= wide.size // 2
    assert tight.quality < wide.quality
    assert tight.images == 4
    tiny = pack(named(photo), out, wide.size // 9)
    assert 0 < tiny.images < 4
    assert len(tiny.left_out) == 4 - tiny.images
    assert tiny.size <= wide.size // 9


def test_nothing_is_written_if_nothing_fits(photo, tmp_path):
    with pytest.raises(ValueError, match="not one of 4 pictures fits into 900 bytes"):
        pack(named(photo), tmp_path / "photos.zip", 900)
    assert list(tmp_path.iterdir()) == []


def test_large_pictures_are_made_smaller_and_broken_ones_left_out(photo, tmp_path):
    def broken():
        raise ImageError("broken")

    done = pack([*named(photo, 1), ("b.png", broken)], tmp_path / "a.zip", 10**6, max_side=64)
    assert done.left_out == ("b.png",)
    assert list(PackedImages(str(tmp_path / "a.zip")).sizes(1)) == [(64, 48)]


def test_a_source_can_be_pickled_and_trained_from(photo, tmp_path):
    pack(named(photo), tmp_path / "a.zip", 10**6)
    source = PackedImages(str(tmp_path / "a.zip"))
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.read(2), source.read(2))
    config = DataConfig(
        train=f"packed:{tmp_path / 'a.zip'}",
        validation="",
        tfds_dir="",
        min_side=64,
        downscale=(1.0, 1.0),
        crops_per_megapixel=500.0,
        cache_decoded=True,
        threads=1,
        workers=0,
        seed=0,
    )
    slots = CropSlots(config)
    assert slots[len(slots) - 1].pixels.shape == (96, 128, 3)


def test_what_is_no_archive_or_empty_is_refused(tmp_path):
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(ValueError, match="text is no archive of packed photographs"):
        PackedImages(str(tmp_path / "text"))
    with zipfile.ZipFile(tmp_path / "empty", "w"):
        pass
    with pytest.raises(ValueError, match="empty holds no photograph"):
        PackedImages(str(tmp_path / "empty"))


def test_a_damaged_member_is_an_image_error(photo, tmp_path):
    path = tmp_path / "a.zip"
    pack(named(photo, 2), path, 10**6)
    data = bytearray(path.read_bytes())
    data[400:500] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(ImageError, match="a.zip/000000_photo 0.avif"):
        PackedImages(str(path)).read(0)


def test_the_program_packs_a_folder(photo, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(photo).save(folder / "a.png")
    program = [sys.executable, "launch/pack.py", str(folder), str(tmp_path / "out.zip")]
    run = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "out.zip: 1 photographs, AVIF quality 95" in run.stdout
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert Image.open(io.BytesIO(archive.read("000000_a.avif"))).size == (128, 96)
