"""The search for a wished size or distance."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from diffcomp import byte_count, cli, codec, rate_search
from diffcomp.coding.file_info import file_info
from diffcomp.coding.quality import CODES, quality_to_code
from diffcomp.distances.distortion import psnr
from diffcomp.rate_search import OutOfReach, Target, compress_to

TINY = Path(__file__).parent / "golden" / "tiny_model"


@pytest.fixture(scope="module")
def tiny():
    return codec.load(TINY)


def stand_in(sizes):
    """A codec whose files have the sizes, one per code, and nothing in them."""
    calls = []

    def compress(image, quality, effort, progress):
        calls.append(quality)
        if progress:
            progress(1, 2)
        return bytes(sizes[quality_to_code(quality)])

    return SimpleNamespace(one_rate=False, compress=compress, calls=calls)


SIZES = [round(1000 * 1.0103**code) for code in range(CODES)]
IMAGE = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize("target", [1000, 1001, 1500, 4321, 9000, SIZES[-1], 10**9])
def test_the_largest_file_within_the_size(target):
    coder = stand_in(SIZES)
    found = compress_to(coder, IMAGE, Target("bytes", target))
    assert len(found.data) == found.value == max(size for size in SIZES if size <= target)
    assert len(coder.calls) == len(set(coder.calls)) <= 17


def test_a_code_that_takes_fewer_bytes_than_its_neighbours():
    sizes = list(SIZES)
    sizes[51] = sizes[49] + 1  # above 50, which is just too large
    found = compress_to(stand_in(sizes), IMAGE, Target("bytes", sizes[50] - 1))
    assert found.value <= sizes[50] - 1
    assert found.value >= 0.97 * (sizes[50] - 1)


def test_progress_is_told_of_every_coding_and_its_tiles():
    told, coder = [], stand_in(SIZES)
    compress_to(coder, IMAGE, Target("bytes", 4321), progress=lambda *parts: told.append(parts))
    expected = rate_search.TYPICAL_CODINGS
    assert told[0::2] == [(i, expected) for i in range(len(coder.calls))]
    assert told[1::2] == [(2 * i + 1, 2 * expected) for i in range(len(coder.calls))]


def test_bpp_is_of_the_picture():
    found = compress_to(stand_in(SIZES), IMAGE, Target("bpp", 4.0))
    assert found.value == 8 * len(found.data) / 64**2 <= 4.0


def test_out_of_reach_says_the_nearest():
    with pytest.raises(OutOfReach, match="target is 999 bytes; the least, at quality 1, is 1000"):
        compress_to(stand_in(SIZES), IMAGE, Target("bytes", 999))


@pytest.mark.parametrize(("kind", "value"), [("size", 1), ("bytes", 0), ("psnr", float("nan"))])
def test_targets_that_cannot_be(kind, value):
    with pytest.raises(ValueError, match="target"):
        Target(kind, value)


def test_the_lowest_quality_that_is_good_enough(tiny, photo):
    def value(quality):
        return psnr(tiny.decompress(tiny.compress(photo, quality)), photo)

    wished = (value(2.0) + value(6.0)) / 2
    found = compress_to(tiny, photo, Target("psnr", wished))
    assert found.value == value(found.quality) >= wished
    with pytest.raises(OutOfReach, match="target is psnr 99; the best, at quality 8, is"):
        compress_to(tiny, photo, Target("psnr", 99.0))


def test_a_target_on_the_command_line(tmp_path, photo, capsys):
    from PIL import Image

    Image.fromarray(photo).save(tmp_path / "a.png")
    least, most = (len(codec.load(TINY).compress(photo, q)) for q in (1.0, 8.0))
    wished = (least + most) // 2
    args = ["compress", str(tmp_path / "a.png"), "--model", str(TINY), "--target-size"]
    assert cli.main([*args, f"{wished}"]) == 0
    data = (tmp_path / "a.dfc").read_bytes()
    assert 0.9 * wished <= len(data) <= wished
    assert f"quality {file_info(data).quality:g}" in capsys.readouterr().err
    for text in ("0", "12x", "k", "1iB"):
        assert cli.main([*args, text, "--force"]) == 2
        assert "size is" in capsys.readouterr().err
    assert cli.main([*args, "1", "--force"]) == 1
    assert "the least, at quality 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("100k", 1e5), ("1.5 MB", 1.5e6), ("64KiB", 65536), (".5M", 5e5), ("2Gi", 2**31)],
)
def test_sizes(text, expected):
    assert byte_count.parse_bytes(text) == expected


def test_lpips_as_a_target(tiny, photo, monkeypatch):
    from diffcomp.distances import lpips

    # The network's own distance is tested elsewhere; here it is the error.
    monkeypatch.setattr(lpips, "lpips_of_images", lambda net, a, b: 1 / psnr(a, b))
    at_three = 1 / psnr(tiny.decompress(tiny.compress(photo, 3.0)), photo)
    found = compress_to(tiny, photo, Target("lpips", at_three))
    assert found.value <= at_three
    assert found.quality <= 3.0
    assert rate_search.compress_to(tiny, photo, Target("lpips", 10.0)).quality == 1.0
