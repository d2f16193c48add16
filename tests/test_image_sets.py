"""Images to measure: files, folders, TensorFlow Datasets, and their names."""

import sys

import numpy as np
import pytest
from make_tiny_tfds import need_for_tfds
from PIL import Image

from diffcomp.evaluation.image_sets import NamedImage, open_images
from diffcomp.evaluation.protocols import PROTOCOLS
from diffcomp.files.image_file import ImageError

NONE = PROTOCOLS["none"]


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 9, 3), value, np.uint8)).save(path)
    return str(path)


def named(*sources, protocol=NONE):
    return {image.name: int(image.pixels[0, 0, 0]) for image in open_images(sources, protocol)}


def test_files_and_folders_by_their_short_names(tmp_path):
    save(tmp_path / "set" / "b.png", 2)
    save(tmp_path / "set" / "sub" / "c.png", 3)
    single = save(tmp_path / "a.png", 1)
    assert named(single, str(tmp_path / "set")) == {"a": 1, "b": 2, "c": 3}


def test_the_class_of_a_picture_is_the_sub_folder_that_it_lies_in(tmp_path):
    names = ("top", "portrait/a", "foliage/b", "foliage/deeper/c")
    for value, name in enumerate(names):
        save(tmp_path / "set" / f"{name}.png", value)
    single = save(tmp_path / "alone" / "d.png", 9)
    images = open_images([str(tmp_path / "set"), single], NONE)
    assert images.classes == {"a": "portrait", "b": "foliage", "c": "foliage"}
    assert open_images([str(tmp_path / "set" / "foliage")], NONE).classes == {"c": "deeper"}


def test_names_are_longer_where_short_ones_meet(tmp_path):
    paths = [save(tmp_path / "a.png", 1), save(tmp_path / "a.bmp", 2)]
    assert named(*paths) == {"a.png": 1, "a.bmp": 2}
    paths = [save(tmp_path / "x" / "a.png", 1), save(tmp_path / "y" / "a.png", 2)]
    assert named(*paths) == dict(zip(paths, (1, 2), strict=True))
    with pytest.raises(ValueError, match="a.png is given twice"):
        named(paths[0], paths[0])


def test_pictures_of_other_kinds_in_a_folder_are_counted(tmp_path):
    save(tmp_path / "a.png", 1)
    for name in ("b.HEIC", "c.heic", "deeper/d.gif", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    images = open_images([str(tmp_path)], NONE)
    assert [image.name for image in images] == ["a"]
    assert images.left_out == {".heic": 2, ".gif": 1}
    # A file that is named is read whatever its kind.
    picture = tmp_path / "e.gif"
    Image.fromarray(np.full((8, 9, 3), 5, np.uint8)).save(picture)
    assert named(str(tmp_path), str(picture)) == {"a": 1, "e": 5}
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=r"no image \(.*\); 2 .gif, 2 .heic are not read."):
        open_images([str(tmp_path)], NONE)


def test_what_a_protocol_leaves_out_is_not_there(tmp_path):
    small = save(tmp_path / "small.png", 1)
    assert named(small, protocol=PROTOCOLS["coco"]) == {}


def test_missing_images_come_with_where_to_get_them(tmp_path):
    with pytest.raises(ImageError, match="absent: no such file or folder. Get kodim01.png to"):
        open_images([str(tmp_path / "absent")], PROTOCOLS["kodak"])
    with pytest.raises(ValueError, match="No images given; protocol tecnick has no data set. Get"):
        open_images([], PROTOCOLS["tecnick"])
    with pytest.raises(ValueError, match="No images given; protocol none has no data set.$"):
        open_images([], NONE)
    with pytest.raises(ValueError, match="holds no image"):
        open_images([str(tmp_path)], NONE)


def test_equal_pixels_of_another_shape_are_another_image():
    flat = np.zeros((4, 6, 3), np.uint8)
    crcs = {NamedImage("a", flat).crc, NamedImage("a", flat.reshape(6, 4, 3)).crc}
    changed = flat.copy()
    changed[1, 1, 1] = 1
    assert len(crcs | {NamedImage("a", changed).crc}) == 3


def test_data_sets_of_tfds(tiny_tfds, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny_tfds))
    images = open_images(["tfds:tiny_photos/pairs/train"], NONE)
    assert images.size() == 10
    found = {image.name: image.pixels for image in images}
    assert list(found)[2] == "tiny_photos_pairs_train_00002"
    assert {pixels.shape for pixels in found.values()} == {(40, 56, 3)}
    assert sorted(int(pixels[0, 0, 2]) for pixels in found.values()) == list(range(10))
    for image in images:  # a second time, in the same order
        np.testing.assert_array_equal(image.pixels, found[image.name])


def test_without_tfds_a_protocol_still_says_where_its_images_are(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"brings it\. Or give a folder\. Get https://clic"):
        open_images([], PROTOCOLS["clic"])


def test_a_data_set_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    need_for_tfds("tensorflow_datasets")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=r"is not prepared.* Or give a folder. Get https://clic"):
        open_images([], PROTOCOLS["clic"])
    with pytest.raises(ValueError, match="TFDS knows no data set 'no_such_set'"):
        open_images(["tfds:no_such_set/test"], NONE)
    with pytest.raises(ValueError, match="must be of the form tfds:NAME/SPLIT"):
        open_images(["tfds:clic"], NONE)
