"""Tiles against the whole, of stages in NumPy whose results are exact."""

import dataclasses
import itertools

import numpy as np
import pytest

from diffcomp.tiling import Drawn, Source, Stage, StagedMap, compute_maps, spans

# A blur that sees 3 pixels far, means of 16x16 of it, and a blur of both together.
STAGES = (
    Stage("fine", ("x",), "", stride=1, sight=3, width=192, length=128),
    Stage("coarse", ("fine",), "", stride=16, sight=0, width=256, length=256),
    Stage("result", ("coarse", "fine", "offset"), "", stride=1, sight=32, width=192, length=192),
)


def blurred(x: np.ndarray, reach: int) -> np.ndarray:
    """Sums of (2 reach + 1)^2 integers, zeros around: exact, and blind to nothing in reach."""
    side = 2 * reach + 1
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
    rows = sum(padded[i : i + len(x)] for i in range(side))
    return sum(rows[:, i : i + x.shape[1]] for i in range(side))


def computed(stage: Stage, origin: tuple[int, int], windows) -> np.ndarray:
    if stage.name == "fine":
        return blurred(windows[0], 3)
    if stage.name == "coarse":
        height, width, channels = windows[0].shape
        blocks = windows[0].reshape(height // 16, 16, width // 16, 16, channels)
        return blocks.sum(axis=(1, 3))
    coarse, fine, offset = windows
    seen = blurred(coarse, 2).repeat(16, axis=0).repeat(16, axis=1)
    return seen + blurred(fine, 5) + offset


def places(rows, columns) -> np.ndarray:
    """A number for each pixel, wherever the window is."""
    row, column = np.ogrid[rows.start : rows.stop, columns.start : columns.stop]
    return (row * 7 + column)[..., None]


def whole_and_tiled(height: int, width: int, progress=None) -> tuple[np.ndarray, np.ndarray]:
    size = -(-height // 64) * 64, -(-width // 64) * 64
    x = np.random.default_rng(height).integers(0, 9, (height, width, 2))
    sources = {"x": Source(x, 1), "offset": Drawn(places)}
    output = np.full((height, width, 2), -1)
    compute_maps(STAGES, sources, {"result": output}, size, computed, progress)
    margins = ((0, size[0] - height), (0, size[1] - width), (0, 0))
    fine = computed(STAGES[0], (0, 0), [np.pad(x, margins, mode="edge")])
    row, column = np.ogrid[: size[0], : size[1]]
    inputs = [computed(STAGES[1], (0, 0), [fine]), fine, (row * 7 + column)[..., None]]
    return computed(STAGES[2], (0, 0), inputs)[:height, :width], output


@pytest.mark.parametrize(
    "size",
    [(64, 64), (192, 192), (193, 191), (192, 256), (257, 255), (320, 1000), (1000, 449), (1, 900)],
)
def test_tiles_are_the_whole(size: tuple[int, int]) -> None:
    whole, tiled = whole_and_tiled(*size)
    np.testing.assert_array_equal(tiled, whole)


@pytest.mark.parametrize("stage", [0, 2])
def test_too_small_a_margin_would_be_seen(stage: int, monkeypatch) -> None:
    short = list(STAGES)
    short[stage] = dataclasses.replace(STAGES[stage], sight=STAGES[stage].margin - 16)
    monkeypatch.setattr(f"{__name__}.STAGES", short)
    whole, tiled = whole_and_tiled(400, 400)
    assert np.any(tiled != whole)


@pytest.mark.parametrize("stage", STAGES)
def test_windows_cover_a_line_once(stage: Stage) -> None:
    for length in range(64, 4000, 64):
        found = spans(length, stage.length, stage)
        assert len({span.stop - span.start for span in found}) == 1
        assert found[0].stop <= stage.length
        assert (found[0].start, found[0].kept_start) == (0, 0)
        assert (found[-1].stop, found[-1].kept_stop) == (length, length)
        for before, after in itertools.pairwise(found):
            assert before.kept_stop == after.kept_start
            assert before.stop - before.kept_stop >= stage.margin
            assert after.kept_start - after.start >= stage.margin
        for span in found:
            assert span.kept_start < span.kept_stop
            assert all(place % stage.grain == 0 for place in span)


def test_little_is_computed_twice() -> None:
    """Windows of 1088 with margins of 32, of pictures from 2000 to 12000 pixels wide."""
    stage = Stage("", (), "", stride=1, sight=32, width=1088, length=1088)
    ratios = []
    for length in range(2048, 12000, 64):
        found = spans(length, 1088, stage)
        ratios.append(len(found) * found[0].stop / length)
    assert max(ratios) < 1.12
    assert np.mean(ratios) < 1.09


def test_only_a_few_strips_are_kept(monkeypatch) -> None:
    most: dict[str, int] = {}
    make = StagedMap._make_strip

    def counted(self) -> None:
        make(self)
        rows = sum(strip.stop - strip.start for strip in self._strips)
        most[self.stage.name] = max(most.get(self.stage.name, 0), rows)

    monkeypatch.setattr(StagedMap, "_make_strip", counted)
    whole_and_tiled(100, 6000)
    assert 0 < most["fine"] <= 2 * 256 + 32
    assert 0 < most["coarse"] <= 2 * 256 + 32
    assert most["result"] == 0


def test_progress_counts_tiles() -> None:
    told = []
    whole_and_tiled(300, 500, lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert {total for _, total in told} == {len(told)}
    assert len(told) > 10
