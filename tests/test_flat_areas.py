"""Areas of one colour: the rule, the chunk, and that a decoded picture has them to the bit."""

import dataclasses

import numpy as np
import pytest
import tiny_model

from diffcomp.codec import Codec
from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import BitstreamError
from diffcomp.coding.flat_area_tables import CLASS_OF, CLASSES, START_TABLE, tables
from diffcomp.coding.flat_areas import (
    CELL,
    FlatAreas,
    find_flat_areas,
    pack_flat_areas,
    paint,
    unpack_flat_areas,
)
from diffcomp.objectives.flat_areas import flat_mask

GOLDEN = (
    "05006360646266616563e7e0e4e2e6e1e503000b1b30d98750817c94981a677e8391164d1c5037367119f1d0"
    "b571724c95edd71d7be78100007629e9738bc761c7ccfb964af043000119d2271f5395ff17ff17ff17f84bf1"
    "80f165d16696596522"
)


@pytest.fixture(scope="module")
def tiny() -> Codec:
    return tiny_model.codec()


def graphic(height: int = 200, width: int = 264, seed: int = 0) -> np.ndarray:
    """Rectangles of a few colours, one above the other, on noise: uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    colours = rng.integers(0, 256, (5, 3))
    for _ in range(12):
        top, left = rng.integers(-20, height), rng.integers(-20, width)
        bottom, right = top + rng.integers(1, 120), left + rng.integers(1, 120)
        image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = colours[rng.integers(5)]
    return image


def same(first: FlatAreas | None, second: FlatAreas | None) -> bool:
    assert first is not None
    assert second is not None
    return np.array_equal(first.numbers, second.numbers) and np.array_equal(
        first.colours, second.colours
    )


def test_an_area_is_what_squares_of_twelve_pixels_in_the_grid_cover():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    image[5:34, 8:36] = 9  # in whole cells: rows 8 to 31, columns 8 to 35
    image[40:51, 0:64] = 7  # two cells high: rows 40 to 47
    areas = find_flat_areas(image)
    expected = np.zeros((16, 16), int)
    expected[2:8, 2:9] = 1
    np.testing.assert_array_equal(areas.numbers, expected)
    np.testing.assert_array_equal(areas.colours, [[9, 9, 9]])


def test_colours_are_numbered_by_their_frequency_and_differ_by_one_level():
    image = np.zeros((48, 96, 3), np.uint8)
    image[:, 60:] = (0, 0, 1)
    areas = find_flat_areas(image)
    np.testing.assert_array_equal(areas.colours, [[0, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(areas.numbers[0], [1] * 15 + [2] * 9)


@pytest.mark.parametrize("shape", [(1, 1), (8, 400), (400, 8), (7, 7)])
def test_too_narrow_for_an_area(shape):
    assert find_flat_areas(np.zeros((*shape, 3), np.uint8)) is None
    assert find_flat_areas(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)) is None


@pytest.mark.parametrize("size", [(9, 9), (12, 12), (13, 130), (131, 12), (200, 264), (513, 259)])
def test_the_chunk_gives_back_what_was_found(size):
    for seed in range(4):
        image = graphic(*size, seed=seed)
        if seed == 3:
            image[:] = (12, 200, 7)
        areas = find_flat_areas(image)
        chunk = pack_flat_areas(areas)
        if areas is None:
            assert chunk == b""
            continue
        assert same(unpack_flat_areas(chunk, *size), areas)
        copy = np.zeros_like(image)
        paint(copy, areas)
        inside = areas.mask(*size)
        np.testing.assert_array_equal(copy[inside], image[inside])
        assert not copy[~inside].any()


@pytest.mark.parametrize("seed", range(40))
def test_any_map_has_a_chunk(seed):
    """Also those that no picture has: the coder relies on no rule about areas."""
    rng = np.random.default_rng(seed)
    height, width, colours = rng.integers(1, (140, 140, 300)).tolist()
    shape = -(-height // CELL), -(-width // CELL)
    numbers = rng.integers(0, colours + 1, shape).astype(np.int32)
    if seed % 2:
        numbers = numbers // 8 * 8 % (colours + 1)
    palette = rng.integers(0, 256, (colours, 3)).astype(np.uint8)
    areas = FlatAreas(numbers, palette)
    assert same(unpack_flat_areas(pack_flat_areas(areas), height, width), areas)


def test_a_picture_of_one_colour_takes_a_few_bytes():
    for side, largest in ((64, 16), (512, 24), (2048, 200)):
        areas = find_flat_areas(np.full((side, side, 3), 77, np.uint8))
        assert len(pack_flat_areas(areas)) < largest


def test_golden():
    """Other bytes are another format: files of before would be read wrongly."""
    numbers = np.zeros((35, 41), np.int32)
    numbers[2:20, 3:30], numbers[8:, 25:], numbers[4:7, 5:8], numbers[30, ::3] = 1, 2, 5, 3
    areas = FlatAreas(numbers, np.arange(15, dtype=np.uint8).reshape(5, 3))
    chunk = pack_flat_areas(areas)
    assert chunk.hex() == GOLDEN
    assert same(unpack_flat_areas(chunk, 139, 161), areas)


def test_damaged_chunks_are_refused_or_read_as_other_areas():
    rng = np.random.default_rng(0)
    image = graphic()
    chunk = pack_flat_areas(find_flat_areas(image))
    refused = 0
    for _ in range(400):
        damaged = bytearray(chunk)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        cut = bytes(damaged[: rng.integers(len(damaged))] if rng.uniform() < 0.3 else damaged)
        try:
            areas = unpack_flat_areas(cut, *image.shape[:2])
        except BitstreamError:
            refused += 1
        else:
            assert areas is None or 0 <= areas.numbers.min() <= areas.numbers.max()
            assert areas is None or areas.numbers.max() <= len(areas.colours)
    assert refused > 100


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (b"\1", "end after 1 bytes"),
        (b"\0\0\3\0", "must have 0 colours"),
        (b"\2\0\3\0", "must have 2 colours, from 1 to 65535, found 0 bytes"),
        (b"\2\0\xff\xff", "colours of the areas are damaged"),
    ],
)
def test_what_is_no_chunk_says_why(chunk, message):
    with pytest.raises(BitstreamError, match=message):
        unpack_flat_areas(chunk, 64, 64)


def test_every_case_of_four_neighbours_has_a_table():
    assert CLASS_OF.min() == 0
    assert CLASS_OF.max() == CLASSES - 1
    assert len(tables()) == START_TABLE + 1


def test_training_asks_nothing_where_files_state_the_colour():
    images = np.stack([graphic(128, 192, seed) for seed in range(3)])
    masks = np.asarray(flat_mask(images / np.float32(127.5) - 1))
    for image, mask in zip(images, masks, strict=True):
        np.testing.assert_array_equal(mask[..., 0], find_flat_areas(image).mask(128, 192))


def test_a_decoded_picture_has_its_areas_to_the_bit(tiny):
    image = graphic(100, 150)
    inside = find_flat_areas(image).mask(100, 150)
    assert 0.2 < inside.mean() < 0.9
    for quality in (1.0, 8.0):
        data = tiny.compress(image, quality)
        for realism in (0.0, 1.0):
            decoded = tiny.decompress(data, realism=realism)
            np.testing.assert_array_equal(decoded[inside], image[inside])
            assert (decoded[~inside] != image[~inside]).any()
    info = tiny.read(data).info
    assert info.flat_bits > 0
    parts = info.header_bits + info.z_bits + info.y_bits + info.flat_bits
    assert parts == 8 * len(data)


def test_a_picture_that_is_all_areas_is_exact_whatever_it_shows(tiny):
    image = np.zeros((96, 160, 3), np.uint8)
    image[:48], image[48:, 80:] = (200, 30, 30), 255
    data = tiny.compress(image, 1.0)
    np.testing.assert_array_equal(tiny.decompress(data), image)
    assert tiny.compress_batch([image], 1.0) == [data]
    plain, info = tiny.read(tiny.compress(np.full_like(image, 7), 1.0)).info, tiny.read(data).info
    assert (plain.z_bits, plain.y_bits) == (info.z_bits, info.y_bits)


def test_a_model_that_states_no_areas_refuses_them(tiny, monkeypatch):
    data = tiny.compress(graphic(100, 150))
    monkeypatch.setattr(type(tiny._architecture), "flat_areas", False)
    with pytest.raises(BitstreamError, match="state no areas"):
        tiny.decompress(data)
    assert tiny.read(tiny.compress(graphic(100, 150))).flat_areas is None


def test_a_file_whose_areas_were_forged_is_refused(tiny):
    container = bitstream.unpack(tiny.compress(graphic(100, 150)))
    forged = dataclasses.replace(container, flat_areas=container.flat_areas[:3])
    with pytest.raises(BitstreamError, match="areas"):
        tiny.decompress(bitstream.pack(forged))
