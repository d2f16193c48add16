import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from make_tiny_tfds import COUNT, need_for_tfds, prepare_tiny_photos
from small_photos import image, write

from diffcomp.data.image_sources import FolderImages, TfdsImages, open_sources, validation_images
from diffcomp.files.image_file import ImageError


def test_files_are_found_in_subfolders_sorted_and_by_suffix(photos):
    (photos / "notes.txt").write_text("no image")
    write(photos, "B.PNG", image(40, 40, 4))
    source = FolderImages(str(photos))
    names = [source.name(i) for i in range(len(source))]
    assert names == [f"{photos}/{name}" for name in ("B.PNG", "a.png", "b.png", "deeper/c.png")]
    np.testing.assert_array_equal(source.read(3), image(32, 200, 3))


def test_the_sequences_of_a_video_set_are_found_in_order(tmp_path):
    for clip in ("00002/0001", "00001/0002", "00001/0001"):
        for frame in (2, 1):
            pixels = image(32, 48, int(clip[4]) * 10 + frame)
            write(tmp_path / "sequences" / clip, f"im{frame}.png", pixels)
    (tmp_path / "sep_trainlist.txt").write_text("00001/0001\n")
    source = FolderImages(str(tmp_path))
    assert source.name(0) == f"{tmp_path}/sequences/00001/0001/im1.png"
    assert [int(source.read(i)[0, 0, 2]) for i in range(6)] == [11, 12, 11, 12, 21, 22]


def test_sizes_come_from_headers_and_errors_stand_in_their_place(damaged):
    sizes = list(FolderImages(str(damaged)).sizes(threads=2))
    errors = {i: str(size) for i, size in enumerate(sizes) if isinstance(size, ImageError)}
    assert errors.keys() == {3, 4}
    assert f"{damaged}/ac_text.jpg: cannot identify image file" in errors[3]
    assert [size for i, size in enumerate(sizes) if i not in errors] == [
        (96, 64), (90, 90), (90, 90), (48, 48), (200, 32)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_images_is_refused(tmp_path, name):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"holds no image \(\.avif, \.bmp, \.jpeg, \.jpg, "):
        FolderImages(str(tmp_path / name))


@pytest.mark.parametrize(
    "text", ["", "/photos", "folder:", "tfds:", "tfds:coco", "tfds:coco/", "Folder:/photos"]
)
def test_a_source_of_another_form_is_refused(text):
    rule = "it must be of the form folder:PATH, packed:FILE or tfds:NAME/SPLIT."
    with pytest.raises(ValueError, match=f"data source is '{re.escape(text)}'; {re.escape(rule)}"):
        open_sources(text)


def test_sources_are_joined_by_comma_or_plus_and_paths_may_hold_both(tmp_path, tiny_tfds):
    paths = [tmp_path / name for name in ("a,b", "c+folder", "d")]
    for number, path in enumerate(paths):
        write(path, "x.png", image(32, 32, number))
    first, second, third = paths
    tfds = "tfds:tiny_photos/pairs/train[:2]+train[4:]"
    sources = open_sources(f"folder:{first},folder:{second}+{tfds}+folder:{third}", str(tiny_tfds))
    assert [len(source) for source in sources] == [1, 1, COUNT - 2, 1]
    assert [int(sources[i].read(0)[0, 0, 2]) for i in (0, 1, 3)] == [0, 1, 2]


def test_tfds_pictures_are_read_at_random_and_stay_what_they_were(tiny_tfds):
    source = TfdsImages("tiny_photos/photos:1.0.0/train", str(tiny_tfds))
    blues = blues_of(source, skip=(3,))
    assert sorted(blues.values()) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    again = pickle.loads(pickle.dumps(source))
    assert blues_of(again, skip=(3,)) == blues
    for index, blue in blues.items():
        expected = image(20 if blue == 5 else 40, 56, blue)
        if blue == 6:
            expected = np.full_like(expected, 6)  # grey
        np.testing.assert_array_equal(source.read(index), expected)
    assert list(source.sizes(threads=1)) == [None] * COUNT


def blues_of(source, skip=()):
    """Index -> blue; `skip` are the numbers of pictures that must not be readable."""
    found, broken = {}, 0
    for index in range(len(source)):
        try:
            found[index] = int(source.read(index)[0, 0, 2])
        except ImageError as error:
            broken += 1
            assert str(error).startswith(f"{source.name(index)}: is a broken")
    assert broken == len(skip)
    return found


def test_a_part_of_a_split_can_be_asked_for(tiny_tfds):
    parts = [f"tiny_photos/pairs/train[{part}]" for part in (":70%", "70%:")]
    first, second = (blues_of(TfdsImages(part, str(tiny_tfds))) for part in parts)
    assert (len(first), len(second)) == (7, 3)
    assert sorted([*first.values(), *second.values()]) == list(range(COUNT))


@pytest.mark.parametrize("config", ["pairs", "maps"])
def test_the_feature_is_hr_or_else_the_first_image_that_is_no_map(tiny_tfds, config):
    blues = blues_of(TfdsImages(f"tiny_photos/{config}/train", str(tiny_tfds)))
    assert sorted(blues.values()) == list(range(COUNT))


def test_a_public_data_set_has_the_feature():
    need_for_tfds("tensorflow")
    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(num_examples=2):
        source = TfdsImages("div2k/bicubic_x2/train")
        assert len(source) == 2
        pixels = source.read(1)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3


def test_the_folder_of_tfds_may_come_from_the_environment(tiny_tfds, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny_tfds))
    assert len(TfdsImages("tiny_photos/photos/train")) == COUNT
    monkeypatch.setenv("TFDS_DATA_DIR", "/nowhere")
    assert len(TfdsImages("tiny_photos/photos/train", str(tiny_tfds))) == COUNT


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (
            "cocoo/2017/train",
            "knows no data set 'cocoo', and {folder} holds none .* close ones: co",
        ),
        ("coco:1.1.0x/train", "tfds:coco:1.1.0x cannot be opened"),
        ("coco/2018/train", "tfds:coco/2018 cannot be opened: .*BuilderConfig 2018 not found"),
        ("coco/2017:9.9.9/train", "cannot be opened: .*9.9.9, only: 1.1.0"),
        (
            "coco/2017/train",
            r"tfds:coco/2017 is not prepared in {folder}; random access needs array_record\."
            r" Prepare it: python -c .*builder\('coco/2017', data_dir='{folder}', file_format="
            r"'array_record'\)\.download_and_prepare\(\)",
        ),
        ("tiny_photos/numbers/train", "tfds:tiny_photos/numbers has no image .* features: label"),
        ("tiny_photos/photos/val", r"split 'val' of tfds:tiny_photos/photos: .*\['train'\]"),
        ("tiny_photos/photos/train[:", "split 'train.:' of tfds:tiny_photos/photos: "),
        ("tiny_photos/photos/train[:1%]", "split 'train.:1%.' of tfds:tiny_photos/photos: "),
    ],
)
def test_what_tfds_cannot_give_is_refused(tiny_tfds, place, text):
    with pytest.raises(ValueError, match=text.format(folder=re.escape(str(tiny_tfds)))):
        TfdsImages(place, str(tiny_tfds))


def test_records_without_random_access_are_refused_with_a_command_that_works(tmp_path):
    prepare_tiny_photos(tmp_path, "tfrecord")
    with pytest.raises(
        ValueError,
        match=f"tiny_photos/pairs is there in another file format in {re.escape(str(tmp_path))};"
        ".* Prepare it in an empty folder: python -c ",
    ):
        TfdsImages("tiny_photos/pairs/train", str(tmp_path))


def test_the_advised_command_is_one_line_of_python(tmp_path):
    need_for_tfds("tensorflow_datasets")
    with pytest.raises(ValueError, match="is not prepared") as caught:
        TfdsImages("coco/2017/train", str(tmp_path))
    program = str(caught.value).split('python -c "')[1].rstrip('"')
    compile(program, "advice", "exec")
    assert program.count("'") == 6


def test_folders_load_no_tfds(photos):
    program = (
        "import sys; from diffcomp.data.image_sources import open_sources;"
        f"open_sources('folder:{photos}')[0].read(0); print('tensorflow_datasets' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "False\n", run.stderr


def test_tfds_pictures_are_read_without_tensorflow(tiny_tfds):
    program = (
        "import sys; from diffcomp.data.image_sources import open_sources;"
        f"print(open_sources('tfds:tiny_photos/pairs/train', {str(tiny_tfds)!r})[0].read(1).shape);"
        "print('tensorflow' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "(40, 56, 3)\nFalse\n", run.stderr


def test_without_tfds_its_sources_are_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(
        ImportError, match=r"tfds: sources need .* pip install 'diffcomp\[tfds\]' brings it\."
    ):
        open_sources("tfds:tiny_photos/pairs/train")


def test_validation_images_are_the_first_ones_of_all_sources(photos, tiny_tfds):
    text = f"folder:{photos}+tfds:tiny_photos/pairs/train"
    found = list(validation_images(text, 5, str(tiny_tfds)))
    assert [name for name, _ in found] == [
        f"{photos}/a.png", f"{photos}/b.png", f"{photos}/deeper/c.png",
        "tfds:tiny_photos/pairs/train image 0", "tfds:tiny_photos/pairs/train image 1",
    ]  # fmt: skip
    np.testing.assert_array_equal(found[1][1], image(48, 48, 2))
    assert found[4][1].shape == (40, 56, 3)
    assert len(list(validation_images(f"folder:{photos}", 2))) == 2
    assert len(list(validation_images(f"folder:{photos}", 9))) == 3


def test_a_broken_validation_image_is_refused_by_name(damaged):
    with pytest.raises(ImageError, match="aa_cut.png: is a broken or unsupported picture"):
        list(validation_images(f"folder:{damaged}", 2))
