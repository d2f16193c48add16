import dataclasses
import itertools
import logging

import numpy as np
import pytest
from PIL import Image

from diffcomp.config import DataConfig
from diffcomp.input_pipeline import CropSlots, batches, crop_dataset, image_files, random_crop

CONFIG = DataConfig(
    train="",
    validation="",
    min_side=32,
    crops_per_megapixel=1000.0,
    cache_decoded=True,
    threads=2,
    seed=0,
)


def image(height, width, blue):
    """Every pixel tells its row (red), its column (green) and its image (blue)."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, np.full((height, width), blue)], axis=-1).astype(np.uint8)


def write(folder, name, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def source(folder, **changes):
    return CropSlots(image_files(f"folder:{folder}"), dataclasses.replace(CONFIG, **changes))


@pytest.fixture
def photos(tmp_path):
    write(tmp_path, "a.png", image(64, 96, 1))
    write(tmp_path, "b.png", image(48, 48, 2))
    write(tmp_path / "deeper", "c.png", image(32, 200, 3))
    return tmp_path


@pytest.fixture
def damaged(photos):
    """The same folder with four more files, none of which can be trained on."""
    pixels = write(photos, "aa_cut.png", image(90, 90, 8)).read_bytes()
    (photos / "aa_cut.png").write_bytes(pixels[: len(pixels) // 2])  # the header is intact
    transparent = np.dstack([image(90, 90, 9), np.full((90, 90), 128, np.uint8)])
    write(photos, "ab_transparent.png", transparent)
    (photos / "ac_text.jpg").write_text("This is no picture.")
    (photos / "ad_empty.webp").touch()
    return photos


def test_files_are_found_in_subfolders_sorted_and_by_suffix(photos):
    (photos / "notes.txt").write_text("no image")
    write(photos, "B.PNG", image(40, 40, 4))
    names = [str(file.relative_to(photos)) for file in image_files(f"folder:{photos}")]
    assert names == ["B.PNG", "a.png", "b.png", "deeper/c.png"]


@pytest.mark.parametrize("text", ["", "/photos", "folder:", "tfds:coco", "Folder:/photos"])
def test_a_source_of_another_form_is_refused(text):
    with pytest.raises(
        ValueError, match=f"data source is '{text}'; it must be of the form folder:PATH"
    ):
        image_files(text)


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_images_is_refused(tmp_path, name):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"holds no image \(\.avif, \.bmp, \.jpeg, \.jpg, "):
        image_files(f"folder:{tmp_path / name}")


def test_slots_are_in_proportion_to_pixels(photos):
    slots = source(photos)
    counts = np.bincount([slots[i][0, 0, 2] for i in range(len(slots))])
    assert counts.tolist() == [0, 6, 2, 6]  # 6144, 2304 and 6400 pixels at 1 per 1000


def test_the_smallest_image_has_a_slot_all_the_same(photos):
    assert len(source(photos, crops_per_megapixel=0.001)) == 3


def test_images_with_a_short_side_are_left_out(photos):
    slots = source(photos, min_side=48)
    assert {int(slots[i][0, 0, 2]) for i in range(len(slots))} == {1, 2}


def test_no_image_left_is_refused(photos):
    with pytest.raises(
        ValueError, match="None of 3 images has sides of 65 or more; 0 of them cannot be read"
    ):
        source(photos, min_side=65)


@pytest.mark.parametrize("keep", [True, False])
def test_decoded_images_are_kept_if_asked_for(photos, keep):
    slots = source(photos, cache_decoded=keep)
    first = slots[0]
    np.testing.assert_array_equal(first, image(64, 96, 1))
    assert (slots[0] is first) is keep


def test_crops_lie_inside_the_image_and_reach_its_edges():
    rng = np.random.default_rng(0)
    tops, lefts, mirrored = set(), set(), []
    for _ in range(400):
        crop = random_crop(image(20, 24, 0), 16, rng).astype(int)
        assert crop.shape == (16, 16, 3)
        rows, columns = crop[:, :, 0], crop[:, :, 1]
        assert (rows == rows[:1, :1] + np.arange(16)[:, None]).all()
        direction = columns[0, 1] - columns[0, 0]
        assert (columns == columns[:1, :1] + direction * np.arange(16)[None]).all()
        tops.add(int(rows[0, 0]))
        lefts.add(int(columns.min()))
        mirrored.append(direction == -1)
    assert tops == set(range(5))
    assert lefts == set(range(9))
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.1)  # four standard errors


def test_a_small_image_is_extended_by_reflection():
    pixels = image(5, 40, 0)
    crop = random_crop(pixels, 8, np.random.default_rng(1))
    np.testing.assert_array_equal(crop[:, 0, 0], [0, 1, 2, 3, 4, 4, 3, 2])
    tiny = random_crop(image(3, 2, 0), 8, np.random.default_rng(1))
    assert tiny.shape == (8, 8, 3)
    np.testing.assert_array_equal(tiny[:, 0, 0], [0, 1, 2, 2, 1, 0, 0, 1])


def test_a_crop_of_the_whole_image_is_the_image_or_its_mirror():
    pixels = image(16, 16, 0)
    crops = [random_crop(pixels, 16, np.random.default_rng(i)) for i in range(8)]
    equal = [np.array_equal(crop, pixels) for crop in crops]
    mirrored = [np.array_equal(crop, pixels[:, ::-1]) for crop in crops]
    assert [a or b for a, b in zip(equal, mirrored, strict=True)] == [True] * 8
    assert any(equal)
    assert any(mirrored)


def test_batches_are_a_function_of_seed_and_step(photos):
    slots = source(photos)
    dataset, again = (crop_dataset(slots, side=32, batch=4, seed=5) for _ in range(2))
    for step in (0, 3, 7, 50):
        assert dataset[step].shape == (4, 32, 32, 3)
        assert dataset[step].dtype == np.uint8
        np.testing.assert_array_equal(dataset[step], again[step])
    other = crop_dataset(slots, side=32, batch=4, seed=6)
    assert not np.array_equal(dataset[0], other[0])
    assert not np.array_equal(dataset[0], dataset[1])


@pytest.mark.parametrize("start", [0, 3, 41])
def test_an_iterator_started_later_goes_on_with_the_same_batches(photos, start):
    dataset = crop_dataset(source(photos), side=32, batch=4, seed=5)
    found = list(itertools.islice(batches(dataset, start, threads=2), 5))
    for offset, batch in enumerate(found):
        np.testing.assert_array_equal(batch, dataset[start + offset])


def test_an_epoch_draws_each_slot_once_and_the_next_in_another_order(photos):
    dataset = crop_dataset(source(photos), side=32, batch=1, seed=5)  # of 14 slots
    blue = np.array([dataset[i][0, 0, 0, 2] for i in range(28)])
    for epoch in (blue[:14], blue[14:]):
        assert np.bincount(epoch).tolist() == [0, 6, 2, 6]
    assert (blue[:14] != blue[14:]).any()
    first, second = (np.stack([dataset[i] for i in r]) for r in (range(14), range(14, 28)))
    assert not np.array_equal(np.sort(first, axis=0), np.sort(second, axis=0))  # other crops


def test_unreadable_images_are_skipped_with_a_warning_that_names_them(damaged, caplog):
    caplog.set_level(logging.WARNING)
    slots = source(damaged)
    headless = {damaged / "ac_text.jpg", damaged / "ad_empty.webp"}
    assert slots.skipped == headless
    drawn = [int(slots[i][0, 0, 2]) for i in range(len(slots))]
    assert set(drawn) == {1, 2, 3}
    assert slots.skipped == headless | {damaged / "aa_cut.png", damaged / "ab_transparent.png"}
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 4  # one for each, however often it was drawn
    for number, file in enumerate(
        ["ac_text.jpg", "ad_empty.webp", "aa_cut.png", "ab_transparent.png"]
    ):
        assert f"skipped {damaged / file}, unreadable image {number + 1}: " in messages[number]
    assert "transparent" in messages[3].split(": ", 1)[1]


@pytest.mark.parametrize("keep", [True, False])
def test_the_next_readable_image_stands_in_whatever_was_drawn_before(damaged, keep):
    """8 slots each for the two broken files between a.png and b.png."""
    forward = source(damaged, cache_decoded=keep)
    drawn = [int(forward[i][0, 0, 2]) for i in range(len(forward))]
    assert drawn == [1] * 6 + [2] * (8 + 8 + 2) + [3] * 6
    backward = source(damaged, cache_decoded=keep)
    assert [int(backward[i][0, 0, 2]) for i in reversed(range(len(backward)))] == drawn[::-1]


def test_the_first_image_stands_in_for_a_broken_last_one(photos):
    (photos / "z.png").write_bytes(write(photos, "z.png", image(90, 90, 8)).read_bytes()[:200])
    slots = source(photos)
    assert slots[len(slots) - 1][0, 0, 2] == 1


def test_batches_from_a_damaged_folder_are_reproducible(damaged):
    dataset, again = (crop_dataset(source(damaged), side=32, batch=4, seed=5) for _ in range(2))
    found = list(itertools.islice(batches(dataset, 2, threads=2), 6))
    np.testing.assert_array_equal(found, [again[i] for i in range(2, 8)])


def test_a_folder_of_headless_files_alone_is_refused(tmp_path):
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_text("This is no picture.")
    with pytest.raises(
        ValueError, match="None of 2 images has sides of 32 or more; 2 of them cannot be read"
    ):
        source(tmp_path)


def test_a_folder_of_broken_files_alone_is_refused_when_it_is_drawn_from(tmp_path):
    for name in ("a.png", "b.png"):
        pixels = write(tmp_path, name, image(90, 90, 8)).read_bytes()
        (tmp_path / name).write_bytes(pixels[: len(pixels) // 2])
    dataset = crop_dataset(source(tmp_path), side=32, batch=2, seed=0)
    with pytest.raises(ValueError, match="None of 2 images can be read; the log names them"):
        next(batches(dataset, 0, threads=2))
