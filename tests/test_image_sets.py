"""Images to measure: files, folders, TensorFlow Datasets, and their names."""

import numpy as np
import pytest
from PIL import Image

from diffcomp.evaluation.image_sets import NamedImage, open_images
from diffcomp.evaluation.protocols import PROTOCOLS
from diffcomp.image_file import ImageError

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


def test_names_are_longer_where_short_ones_meet(tmp_path):
    paths = [save(tmp_path / "a.png", 1), save(tmp_path / "a.bmp", 2)]
    assert named(*paths) == {"a.png": 1, "a.bmp": 2}
    paths = [save(tmp_path / "x" / "a.png", 1), save(tmp_path / "y" / "a.png", 2)]
    assert named(*paths) == dict(zip(paths, (1, 2), strict=True))
    with pytest.raises(ValueError, match="a.png is given twice"):
        named(paths[0], paths[0])


def test_what_a_protocol_leaves_out_is_not_there(tmp_path):
    small = save(tmp_path / "small.png", 1)
    assert named(small, protocol=PROTOCOLS["coco"]) == {}


def test_missing_images_come_with_where_to_get_them(tmp_path):
    with pytest.raises(ImageError, match="absent: no such file or folder; get kodim01.png to"):
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


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """A data set of two pictures, prepared where TensorFlow Datasets looks for such."""
    import tensorflow_datasets as tfds

    class TinyPictures(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {"hr": tfds.features.Image(), "image/filename": tfds.features.Text()}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {"test": self._generate_examples()}

        def _generate_examples(self):
            for index in range(2):
                picture = np.full((8, 9, 3), 50 * index, np.uint8)
                yield index, {"hr": picture, "image/filename": f"number{index}.jpg"}

    folder = tmp_path_factory.mktemp("tfds")
    tfds.core.add_data_dir(folder)
    TinyPictures(data_dir=folder).download_and_prepare()
    return "tfds:tiny_pictures"


def test_tensorflow_datasets(data_set):
    images = open_images([f"{data_set}/test"], NONE)
    assert images.size() == 2
    assert {i.name: int(i.pixels[0, 0, 0]) for i in images} == {"number0": 0, "number1": 50}


def test_bad_data_sets_are_refused(data_set):
    with pytest.raises(ValueError, match="tiny_pictures has no split 'train'; it has: test"):
        open_images([f"{data_set}/train"], NONE)
    with pytest.raises(ValueError, match="has no data set 'no_such_set'"):
        open_images(["tfds:no_such_set/test"], NONE)
    with pytest.raises(ValueError, match="must be of the form tfds:NAME/SPLIT"):
        open_images(["tfds:clic"], NONE)


def test_a_data_set_that_is_not_prepared_comes_with_its_command(data_set):
    with pytest.raises(FileNotFoundError, match="Prepare it with: tfds build clic, or give a fol"):
        open_images([], PROTOCOLS["clic"])
