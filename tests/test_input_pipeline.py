import itertools
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_photos import crop_slots, image

from diffcomp.data import input_pipeline
from diffcomp.data.input_pipeline import CropDataset, WaitTimer, random_crop


def dataset(folder, *, side=32, batch=4, seed=5, share=(0, 1), **changes):
    index, count = share
    return CropDataset(
        crop_slots(folder, **changes),
        side=side,
        batch=batch,
        seed=seed,
        process_index=index,
        process_count=count,
    )


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
    for downscale in ((1.0, 1.0), (0.25, 0.5)):
        tiny = random_crop(image(3, 2, 0), 8, np.random.default_rng(1), downscale)
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


def test_downscaled_crops_have_the_size_asked_for_and_a_slope_within_the_range():
    """A ramp of 1 per pixel becomes one of 1 / factor; the shorter side bounds 1 / factor."""
    rng = np.random.default_rng(2)
    slopes = []
    for _ in range(300):
        crop = random_crop(image(120, 200, 7), 32, rng, (0.2, 0.8)).astype(float)
        assert crop.shape == (32, 32, 3)
        assert (crop[:, :, 2] == 7).all()
        slopes.append((crop[24, 0, 0] - crop[8, 0, 0]) / 16)
    assert min(slopes) == pytest.approx(1 / 0.8, abs=0.1)
    assert max(slopes) == pytest.approx(120 / 32, abs=0.1)  # not 1 / 0.2
    assert np.std(slopes) > 0.5


@pytest.mark.colab
def test_a_downscaled_crop_is_a_part_of_the_downscaled_image():
    """Of 96 pixels, a third of 48 or of 96: the margin matters in the first case only."""
    noise = np.random.default_rng(3).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    whole = np.asarray(Image.fromarray(noise).resize((48, 48), Image.Resampling.LANCZOS))
    offsets = []
    for i in range(40):
        crop = random_crop(noise, 16, np.random.default_rng(i), (0.5, 0.5))
        for view in (crop, crop[:, ::-1]):
            windows = np.lib.stride_tricks.sliding_window_view(whole, (16, 16, 3))[:, :, 0]
            differences = np.abs(windows.astype(int) - view).max(axis=(2, 3, 4))
            offsets += np.argwhere(differences <= 1).tolist()
    # A window at an odd pixel of the original lies between the pixels of the small image.
    assert 4 <= len(offsets) <= 20
    assert len({tuple(offset) for offset in offsets}) > 3


@pytest.mark.parametrize("downscale", [(0.0, 1.0), (0.8, 0.5), (0.5, 1.5), (-1.0, 1.0)])
def test_a_range_of_factors_that_is_none_is_refused(photos, downscale):
    with pytest.raises(ValueError, match=r"downscale is \(.*\); it must be 0 < low <= high <= 1."):
        dataset(photos, downscale=downscale)


@pytest.mark.colab
@pytest.mark.parametrize("downscale", [(1.0, 1.0), (0.5, 1.0)])
def test_batches_are_a_function_of_seed_and_step(photos, downscale):
    first, again = (dataset(photos, downscale=downscale) for _ in range(2))
    for step in (0, 3, 7, 50):
        assert first[step].shape == (4, 32, 32, 3)
        assert first[step].dtype == np.uint8
        np.testing.assert_array_equal(first[step], again[step])
    other = dataset(photos, downscale=downscale, seed=6)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])
    plain = dataset(photos)
    assert np.array_equal(first[0], plain[0]) == (downscale == (1.0, 1.0))


@pytest.mark.parametrize("start", [0, 3, 41])
def test_an_iterator_started_later_goes_on_with_the_same_batches(photos, start):
    crops = dataset(photos)
    found = list(itertools.islice(crops.batches(start), 5))
    for offset, batch in enumerate(found):
        np.testing.assert_array_equal(batch, crops[start + offset])


def test_worker_processes_make_the_same_batches_skip_the_same_and_end(damaged, caplog):
    """Three workers, started in the middle of an epoch of the second of two processes."""
    plain = dataset(damaged, share=(1, 2), downscale=(0.5, 1.0))
    crops = dataset(
        damaged, share=(1, 2), downscale=(0.5, 1.0), workers=3, threads=1, cache_decoded=False
    )
    caplog.clear()
    before = set(multiprocessing.active_children())
    batches = crops.batches(5)
    for step in range(5, 60):  # more than can be made ahead
        np.testing.assert_array_equal(next(batches), plain[step])
        if step == 8:
            started = set(multiprocessing.active_children()) - before
            assert len(started) == 3
            for child in started:
                child.terminate()  # a wish to stop, which ends nothing yet
    batches.close()
    deadline = time.monotonic() + 30
    while any(child.is_alive() for child in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(child.is_alive() for child in started)
    assert crops.slots.skipped == plain.slots.skipped
    assert len(crops.slots.skipped) == 4
    named = [r.getMessage() for r in caplog.records if "aa_cut.png" in r.getMessage()]
    assert len(named) == 2  # by either of the two, once


def test_worker_processes_end_with_a_process_that_is_killed(photos):
    program = (
        "import time\nfrom small_photos import crop_slots\n"
        "from diffcomp.data.input_pipeline import CropDataset\n"
        f"slots = crop_slots('folder:{photos}', workers=2, cache_decoded=False)\n"
        "batches = CropDataset(slots, side=32, batch=1, seed=0).batches(0)\n"
        "print(next(batches).shape, flush=True)\ntime.sleep(60)"
    )
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    run = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    assert run.stdout.readline() == "(1, 32, 32, 3)\n"
    run.kill()
    run.communicate(timeout=50)  # ends when the last process that holds the pipe does


def test_worker_processes_read_tfds_and_pass_on_what_ends_them(tiny_tfds):
    options = {"tfds_dir": str(tiny_tfds), "workers": 1, "cache_decoded": False}
    crops = dataset("tfds:tiny_photos/photos/train", **options)
    batches = crops.batches(1)
    found = [next(batches) for _ in range(4)]
    batches.close()
    np.testing.assert_array_equal(found, [crops[i] for i in range(1, 5)])
    assert len(crops.slots.skipped) == 1
    small = dataset("tfds:tiny_photos/photos/train", **options, min_side=100)
    with pytest.raises(Exception, match="images in a row can be used: 1 cannot be read, 9 have"):
        next(small.batches(0))


def test_an_epoch_draws_each_slot_once_and_the_next_in_another_order(photos):
    crops = dataset(photos, batch=1)  # of 14 slots
    blue = np.array([crops[i][0, 0, 0, 2] for i in range(28)])
    for epoch in (blue[:14], blue[14:]):
        assert np.bincount(epoch).tolist() == [0, 6, 2, 6]
    assert (blue[:14] != blue[14:]).any()
    first, second = (np.stack([crops[i] for i in r]) for r in (range(14), range(14, 28)))
    assert not np.array_equal(np.sort(first, axis=0), np.sort(second, axis=0))  # other crops


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_the_rows_of_the_same_global_batch(photos, count):
    whole = dataset(photos, batch=8)
    shares = [dataset(photos, batch=8, share=(p, count)) for p in range(count)]
    for step in (0, 1, 9):
        rows = [share[step] for share in shares]
        assert {len(part) for part in rows} == {8 // count}
        np.testing.assert_array_equal(np.concatenate(rows), whole[step])
    iterators = [share.batches(3) for share in shares]
    for step in (3, 4, 5):
        np.testing.assert_array_equal(np.concatenate([next(i) for i in iterators]), whole[step])


def test_two_processes_see_disjoint_slots_that_together_are_the_epoch(tmp_path, photos):
    """Each image has one slot and one crop here, so a crop tells its slot."""
    options = {"min_side": 1, "crops_per_megapixel": 1e-9, "batch": 2, "side": 32}
    folder = tmp_path / "flat"
    folder.mkdir()
    for blue in range(12):
        Image.fromarray(np.full((32, 32, 3), blue, np.uint8)).save(folder / f"{blue:02}.png")
    shares = [dataset(folder, share=(p, 2), **options) for p in range(2)]
    first, second = (Counter(int(s[i][0, 0, 0, 2]) for i in range(6)) for s in shares)
    assert not first.keys() & second.keys()
    assert first + second == Counter(range(12))


def test_a_batch_that_cannot_be_shared_out_is_refused(photos):
    with pytest.raises(ValueError, match="batch is 10; it must be a multiple of the 4 processes"):
        dataset(photos, batch=10, share=(0, 4))


@pytest.mark.parametrize("share", [(2, 2), (-1, 2), (0, 0)])
def test_a_process_beyond_the_last_is_refused(photos, share):
    with pytest.raises(ValueError, match=f"process_index is {share[0]} of {share[1]} processes"):
        dataset(photos, share=share)


def test_batches_from_a_damaged_folder_are_reproducible_and_skips_are_counted(damaged):
    first, again = (dataset(damaged) for _ in range(2))
    assert len(first.slots.skipped) == 2  # whose headers are broken
    found = list(itertools.islice(first.batches(2), 6))
    np.testing.assert_array_equal(found, [again[i] for i in range(2, 8)])
    assert len(first.slots.skipped) == 4


class Clock:
    """A stand-in for the module `time`."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class Slow:
    """An iterator of three items, for each of which one waits 2 seconds."""

    def __init__(self, clock):
        self.clock, self.left, self.closed = clock, 3, False

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        self.clock.now += 2
        return self.left

    def close(self):
        self.closed = True


def test_waiting_is_measured_apart_from_working(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(input_pipeline, "time", clock)
    timer = WaitTimer(Slow(clock))
    assert next(timer) == 2
    assert timer.share_waiting() == 1
    clock.now += 6
    assert next(timer) == 1
    assert timer.share_waiting() == 0.25
    clock.now += 1
    assert timer.share_waiting() == 0  # of a window without an item
    assert timer.share_waiting() == 0  # of no time at all
    assert list(timer) == [0]
    assert timer.waited == 6


def test_closing_the_timer_closes_what_it_measures():
    slow = Slow(Clock())
    WaitTimer(slow).close()
    assert slow.closed
