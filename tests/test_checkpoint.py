"""Saving, resuming and what is kept, in one process; see test_checkpoint_reader.py for meshes."""

import dataclasses
import gc
import json
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from small_states import (
    CONFIG,
    FIRST,
    leaves_of,
    overwriting_step,
    params,
    restore,
    save,
    state_at,
)

from diffcomp.config import from_mapping
from diffcomp.training.checkpoint import Checkpoints, Position
from diffcomp.training.config import Config
from diffcomp.training.train_state import start_stage

pytestmark = pytest.mark.colab


def test_nothing_is_restored_from_a_new_folder(tmp_path):
    assert restore(tmp_path) is None


@pytest.mark.parametrize("position", [Position(0, 3), Position(0, 10), Position(1, 7)])
def test_a_state_comes_back_bit_for_bit_with_its_optimiser(tmp_path, position):
    save(tmp_path, position)
    found, state = restore(tmp_path)
    assert found == position
    expected = state_at(position)
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_the_newest_is_restored_and_only_so_many_are_kept(tmp_path):
    save(tmp_path, *(Position(0, step) for step in (2, 4, 6)), Position(1, 1))
    names = sorted(int(folder.name) for folder in (tmp_path / "checkpoints").iterdir())
    assert CONFIG.train.keep_checkpoints == 2
    assert names == [6, 11]  # numbered by steps since the start of the run
    assert restore(tmp_path)[0] == Position(1, 1)


def test_what_is_saved_already_is_not_written_again(tmp_path):
    checkpoints = Checkpoints(tmp_path, CONFIG)
    checkpoints.save(Position(0, 4), state_at(Position(0, 4)))
    checkpoints.save(Position(0, 4), state_at(Position(0, 4), scale=9.0))
    checkpoints.close()
    np.testing.assert_array_equal(restore(tmp_path)[1].params["b"], params()["b"])


def test_a_saved_state_may_be_written_over_at_once(tmp_path):
    stage = dataclasses.replace(FIRST, multipliers={"a": 1.0})
    config = dataclasses.replace(CONFIG, stages=(stage,))
    large = {f"a/{i}": jnp.full((500, 1000), float(i)) for i in range(8)}
    state = start_stage(config, stage, large)
    step, expected = overwriting_step(state), leaves_of(state)
    checkpoints = Checkpoints(tmp_path, config)
    checkpoints.save(Position(0, 1), state)
    for _ in range(3):
        state = step(state)
    jax.block_until_ready(state)
    checkpoints.close()
    assert not np.array_equal(leaves_of(state)[1], expected[1])
    _, restored = restore(tmp_path, config, like=large)
    for found, value in zip(leaves_of(restored), expected, strict=True):
        np.testing.assert_array_equal(found, value)


def test_a_restored_state_is_ours_to_write_over(tmp_path):
    """The memory that it was read into belongs to others, who may give it back any time."""
    save(tmp_path, Position(0, 4))
    _, state = restore(tmp_path)
    expected = leaves_of(state)
    step = overwriting_step(state)
    for _ in range(3):
        state = step(state)
    gc.collect()
    for found, value in zip(leaves_of(state), expected, strict=True):
        np.testing.assert_array_equal(found, value + 3)


def test_parameters_of_another_shape_or_name_are_refused(tmp_path):
    save(tmp_path, Position(0, 4))
    with pytest.raises(
        ValueError, match=r"shape: \(5,\) is not compatible with the stored shape: \(4,\)"
    ):
        restore(tmp_path, like=params() | {"b": jnp.zeros(5)})
    with pytest.raises(ValueError, match=r"structures do not match: .*'d': Diff"):
        restore(tmp_path, like=params() | {"d": jnp.zeros(5)})


def test_a_stage_that_the_config_has_not_is_refused(tmp_path):
    save(tmp_path, Position(1, 7))
    shorter = dataclasses.replace(CONFIG, stages=(FIRST,))
    with pytest.raises(ValueError, match="checkpoint 17 is of stage 1; the config ends at stage 0"):
        restore(tmp_path, config=shorter)


def test_a_step_before_the_newest_is_not_saved_in_silence(tmp_path):
    with closing(Checkpoints(tmp_path, CONFIG)) as checkpoints:
        checkpoints.save(Position(1, 1), state_at(Position(1, 1)))
        with pytest.raises(
            ValueError, match=r"^Position\(stage=0, step=6\) is step 6 of the run, but .* step 11;"
        ):
            checkpoints.save(Position(0, 6), state_at(Position(0, 6)))


def test_a_checkpoint_holds_the_config_that_it_was_made_with(tmp_path):
    save(tmp_path, Position(0, 4))
    text = (tmp_path / "checkpoints" / "4" / "config" / "metadata").read_text()
    assert from_mapping(Config, json.loads(text)) == CONFIG


def test_the_average_alone_is_restored_in_the_form_of_the_parameters(tmp_path):
    save(tmp_path, Position(0, 4), Position(1, 7))
    shapes = jax.eval_shape(params)
    with closing(Checkpoints(tmp_path, CONFIG)) as checkpoints:
        position, average = checkpoints.restore_average(shapes)
        with pytest.raises(ValueError, match=r"^checkpoint 17 does not fit .*match: .*'c': Diff"):
            checkpoints.restore_average({path: shapes[path] for path in ("a/kernel", "b")})
        assert checkpoints.restore_average(shapes, best=True) is None  # none has a score
    assert position == Position(1, 7)
    expected = state_at(position).average
    assert average.keys() == expected.keys()
    for path, value in average.items():
        np.testing.assert_array_equal(value, expected[path])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (epath.Path("gs://bucket/run"), "gs://bucket/run/checkpoints"),
        (epath.Path("run"), "{here}/run/checkpoints"),
    ],
)
def test_a_bucket_stays_a_bucket_and_a_folder_is_made_absolute(
    given, expected, monkeypatch, tmp_path
):
    made = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "diffcomp.training.checkpoint.ocp.CheckpointManager",
        lambda folder, **_: made.append(folder),
    )
    monkeypatch.setattr("diffcomp.training.checkpoint.drop_damaged_scores", lambda _: None)
    Checkpoints(given, CONFIG)
    assert [str(folder) for folder in made] == [expected.format(here=tmp_path)]
