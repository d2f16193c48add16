import dataclasses
import json
from contextlib import closing

import jax
import numpy as np
import pytest
from small_states import CONFIG, params, restore, state_at

from diffcomp.training.checkpoint import Checkpoints, Position


def keeping(newest, best):
    train = dataclasses.replace(CONFIG.train, keep_checkpoints=newest, keep_best=best)
    return dataclasses.replace(CONFIG, train=train)


def save_all(directory, config, scores):
    """Saves a checkpoint at each step of `scores`, with a state that tells the step."""
    with closing(Checkpoints(directory, config)) as checkpoints:
        for step, score in scores.items():
            state = state_at(Position(0, step), scale=float(step))
            checkpoints.save(Position(0, step), state, score)


def kept(directory):
    return sorted(int(folder.name) for folder in (directory / "checkpoints").iterdir())


def best(directory, config=CONFIG):
    with closing(Checkpoints(directory, config)) as checkpoints:
        return checkpoints.restore_average(jax.eval_shape(params), best=True)


@pytest.mark.parametrize(
    ("newest", "number", "expected"), [(1, 0, [7]), (2, 0, [6, 7]), (1, 2, [2, 4, 7])]
)
def test_the_newest_and_the_best_by_score_are_kept(tmp_path, newest, number, expected):
    """The two lowest scores are those of steps 2 and 4."""
    scores = {1: 0.5, 2: 0.2, 3: None, 4: 0.1, 5: 0.3, 6: None, 7: 0.4}
    save_all(tmp_path, keeping(newest, number), scores)
    assert kept(tmp_path) == expected


@pytest.mark.parametrize("none", [None, float("nan"), float("inf")])
def test_without_a_score_nothing_counts_as_best(tmp_path, none):
    save_all(tmp_path, keeping(1, 3), {1: none, 2: none, 3: none})
    assert kept(tmp_path) == [3]
    assert best(tmp_path) is None
    save_all(tmp_path, keeping(1, 3), {4: 9.0, 5: none})
    assert kept(tmp_path) == [4, 5]


def test_scores_outlive_the_process(tmp_path):
    for step, score in {1: 0.1, 2: 0.3, 3: 0.2, 4: 0.4}.items():
        save_all(tmp_path, keeping(1, 1), {step: score})
    assert kept(tmp_path) == [1, 4]


def test_the_best_average_is_that_of_the_lowest_score_and_the_newer_of_equals(tmp_path):
    save_all(tmp_path, keeping(4, 4), {1: 0.3, 2: 0.1, 3: 0.1, 4: None})
    position, average = best(tmp_path)
    assert position == Position(0, 3)
    np.testing.assert_array_equal(average["b"], params(3.0)["b"] + 0.25)


def test_next_to_a_damaged_best_comes_the_second_best(tmp_path, caplog):
    save_all(tmp_path, keeping(4, 4), {1: 0.2, 2: 0.1, 3: 0.3})
    (tmp_path / "checkpoints" / "2" / "state" / "_METADATA").unlink()
    assert best(tmp_path)[0] == Position(0, 1)
    (line,) = caplog.messages
    assert line.startswith("checkpoint 2 cannot be read: FileNotFoundError")
    assert line.endswith("; going back to checkpoint 1")


def test_a_score_that_was_cut_short_does_not_hinder_resuming(tmp_path, caplog):
    save_all(tmp_path, keeping(4, 4), {1: 0.2, 2: 0.1})
    file = tmp_path / "checkpoints" / "2" / "metrics" / "metrics"
    assert json.loads(file.read_text()) == {"score": 0.1}
    file.write_text('{"sco')
    assert restore(tmp_path)[0] == Position(0, 2)
    assert caplog.messages == [f"{file} cannot be read; the checkpoint counts as without score"]
    assert best(tmp_path)[0] == Position(0, 1)


@pytest.mark.parametrize(
    ("newest", "number", "message"),
    [
        (0, 1, r"^train\.keep_checkpoints is 0; it must be 1 or more\.$"),
        (1, -1, r"^train\.keep_best is -1; it must be 0 or more\.$"),
    ],
)
def test_impossible_numbers_to_keep_are_refused(tmp_path, newest, number, message):
    with pytest.raises(ValueError, match=message):
        Checkpoints(tmp_path, keeping(newest, number))
