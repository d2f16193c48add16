import logging
import pickle

import numpy as np
import pytest
from make_tiny_tfds import COUNT
from small_photos import crop_slots, image, write

from diffcomp.data import crop_slots as module


def blues(slots, order=None):
    return [int(slots[i].pixels[0, 0, 2]) for i in order or range(len(slots))]


def test_slots_are_in_proportion_to_pixels(photos):
    counts = np.bincount(blues(crop_slots(photos)))
    assert counts.tolist() == [0, 6, 2, 6]  # 6144, 2304 and 6400 pixels at 1 per 1000


def test_the_smallest_image_has_a_slot_all_the_same(photos):
    assert len(crop_slots(photos, crops_per_megapixel=0.001)) == 3


def test_images_with_a_short_side_are_left_out(photos):
    assert set(blues(crop_slots(photos, min_side=48))) == {1, 2}


def test_no_image_left_is_refused(photos):
    with pytest.raises(
        ValueError, match="None of 3 images has sides of 65 or more; 0 of them cannot be read"
    ):
        crop_slots(photos, min_side=65)


@pytest.mark.parametrize("keep", [True, False])
def test_decoded_images_are_kept_if_asked_for(photos, keep):
    slots = crop_slots(photos, cache_decoded=keep)
    first = slots[0].pixels
    np.testing.assert_array_equal(first, image(64, 96, 1))
    assert (slots[0].pixels is first) is keep


def test_what_is_kept_does_not_go_to_other_processes(photos):
    slots = crop_slots(photos, crops_per_megapixel=0.001)
    before = len(pickle.dumps(slots))
    drawn = blues(slots)
    assert len(pickle.dumps(slots)) == before
    assert blues(pickle.loads(pickle.dumps(slots))) == drawn


def test_keeping_images_in_every_process_is_warned_of(photos, caplog):
    crop_slots(photos, workers=3)
    (record,) = caplog.records
    assert "each of 3 worker processes keeps decoded images of its own" in record.getMessage()
    crop_slots(photos, workers=3, cache_decoded=False)
    assert len(caplog.records) == 1


def test_unreadable_images_come_with_what_stands_in_for_them(damaged):
    slots = crop_slots(damaged)
    assert slots[0].faults == ()
    names = [[name for name, _ in slots[i].faults] for i in (6, 14)]
    cut, transparent = (str(damaged / name) for name in ("aa_cut.png", "ab_transparent.png"))
    assert names == [[cut, transparent], [transparent]]
    assert [reason.startswith(f"{cut}: is a broken") for _, reason in slots[6].faults] == [1, 0]
    assert "transparent" in slots[14].faults[0].reason


def test_unreadable_images_are_counted_once_and_named_in_the_log(damaged, caplog):
    caplog.set_level(logging.WARNING)
    slots = crop_slots(damaged)
    assert slots.skipped.keys() == {
        str(damaged / name) for name in ("ac_text.jpg", "ad_empty.webp")
    }
    for i in range(len(slots)):
        slots.note(slots[i].faults)
    assert len(slots.skipped) == 4
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 4  # one for each, however often it was drawn
    for number, file in enumerate(
        ["ac_text.jpg", "ad_empty.webp", "aa_cut.png", "ab_transparent.png"]
    ):
        assert f"skipped unreadable image {number + 1}: {damaged / file}: " in messages[number]


@pytest.mark.parametrize("keep", [True, False])
def test_the_next_readable_image_stands_in_whatever_was_drawn_before(damaged, keep):
    """8 slots each for the two broken files between a.png and b.png."""
    drawn = blues(crop_slots(damaged, cache_decoded=keep))
    assert drawn == [1] * 6 + [2] * (8 + 8 + 2) + [3] * 6
    backward = crop_slots(damaged, cache_decoded=keep)
    assert blues(backward, list(reversed(range(len(backward))))) == drawn[::-1]


def test_the_first_image_stands_in_for_a_broken_last_one(photos):
    (photos / "z.png").write_bytes(write(photos, "z.png", image(90, 90, 8)).read_bytes()[:200])
    slots = crop_slots(photos)
    assert blues(slots, [len(slots) - 1]) == [1]


def test_a_folder_of_headless_files_alone_is_refused(tmp_path):
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_text("This is no picture.")
    with pytest.raises(
        ValueError, match="None of 2 images has sides of 32 or more; 2 of them cannot be read"
    ):
        crop_slots(tmp_path)


def broken_files(folder, count):
    pixels = write(folder, "0.png", image(90, 90, 8)).read_bytes()
    for i in range(count):
        (folder / f"{i}.png").write_bytes(pixels[: len(pixels) // 2])


def test_a_folder_of_broken_files_alone_is_refused_when_it_is_drawn_from(tmp_path):
    broken_files(tmp_path, 2)
    with pytest.raises(
        ValueError,
        match="None of 2 images in a row can be used: 2 cannot be read, 0 have a side below 32."
        f" The last: {tmp_path}/1.png: is a broken",
    ):
        crop_slots(tmp_path)[0]


def test_the_search_for_a_usable_image_ends(tmp_path, monkeypatch):
    broken_files(tmp_path, 4)
    write(tmp_path, "4.png", image(32, 32, 4))
    slots = crop_slots(tmp_path, crops_per_megapixel=0.001)
    assert blues(slots) == [4] * 5
    monkeypatch.setattr(module, "MAX_UNUSABLE", 4)
    assert blues(slots, [1]) == [4]
    with pytest.raises(ValueError, match="None of 4 images in a row can be used: 4 cannot be read"):
        slots[0]


def test_a_tfds_picture_has_one_slot_and_small_ones_are_left_out_when_met(tiny_tfds):
    slots = crop_slots("tfds:tiny_photos/photos/train", tfds_dir=str(tiny_tfds))
    assert len(slots) == COUNT
    drawn = [slots[i] for i in range(COUNT)]
    counts = np.bincount([drawn[i].pixels[0, 0, 2] for i in range(COUNT)], minlength=COUNT)
    assert counts[[3, 5]].tolist() == [0, 0]  # cut off; a side of 20
    assert counts.sum() == COUNT
    (fault,) = {fault for one in drawn for fault in one.faults}  # a small one is no fault
    assert fault.name.startswith("tfds:tiny_photos/photos/train image ")
    assert all(min(one.pixels.shape[:2]) >= 32 for one in drawn)


def test_a_tfds_set_of_small_pictures_is_refused_when_it_is_drawn_from(tiny_tfds):
    slots = crop_slots("tfds:tiny_photos/pairs/train", tfds_dir=str(tiny_tfds), min_side=41)
    with pytest.raises(
        ValueError,
        match=f"None of {COUNT} images in a row can be used: 0 cannot be read,"
        f" {COUNT} have a side below 41.$",
    ):
        slots[0]


def test_sources_of_both_kinds_are_drawn_together(photos, tiny_tfds):
    text = f"tfds:tiny_photos/pairs/train,folder:{photos}"
    slots = crop_slots(text, tfds_dir=str(tiny_tfds))
    sizes = [slots[i].pixels.shape[:2] for i in range(len(slots))]
    assert sizes == [(40, 56)] * COUNT + [(64, 96)] * 6 + [(48, 48)] * 2 + [(32, 200)] * 6
