"""Tests of the order in which y is coded: every element once, coarse to fine."""

import numpy as np
import pytest

from diffcomp.coding.channel_groups import PASSES, PHASES, channel_groups

pytestmark = pytest.mark.colab


@pytest.mark.parametrize("passes", sorted(PASSES))
def test_the_phases_of_the_passes_are_all_there_are(passes: int) -> None:
    assert len(PASSES[passes]) == passes
    assert sorted(phase for phases in PASSES[passes] for phase in phases) == sorted(PHASES)


@pytest.mark.parametrize(
    ("passes", "order"), [(2, [[0, 1], [1, 0]]), (4, [[0, 2], [3, 1]])], ids=["2", "4"]
)
def test_where_each_pass_is(passes: int, order: list) -> None:
    h = np.full((1, 4, 6, 1), -1)
    for n, phases in enumerate(PASSES[passes]):
        for phase in phases:
            phase.of(h)[...] = n
    np.testing.assert_array_equal(h[0, :, :, 0], np.tile(order, (2, 3)))


def test_an_odd_side_has_fewer_positions_of_the_second_remainder() -> None:
    shapes = [phase.of(np.zeros((2, 3, 1, 5))).shape for phase in PHASES]
    assert shapes == [(2, 2, 1, 5), (2, 2, 0, 5), (2, 1, 1, 5), (2, 1, 0, 5)]


def test_groups_part_the_channels() -> None:
    groups = channel_groups((0, 3, 8), (4, 2, 2), 12)
    assert [(g.start, g.stop, g.size, len(g.passes)) for g in groups] == [
        (0, 3, 3, 4),
        (3, 8, 5, 2),
        (8, 12, 4, 2),
    ]
    assert np.concatenate([np.arange(12)[g.channels] for g in groups]).tolist() == [*range(12)]


@pytest.mark.parametrize("starts", [(), (1, 3), (0, 3, 3), (0, 5, 4), (0, 12), (0, -1)])
def test_starts_that_part_nothing(starts: tuple) -> None:
    with pytest.raises(ValueError, match="must ascend from 0 to below 12"):
        channel_groups(starts, (2,) * len(starts), 12)


@pytest.mark.parametrize("passes", [(), (2,), (2, 3), (2, 2, 2)])
def test_passes_that_do_not_exist(passes: tuple) -> None:
    with pytest.raises(ValueError, match=r"of the 2 groups are \(.*each must be one of 2, 4"):
        channel_groups((0, 4), passes, 12)
