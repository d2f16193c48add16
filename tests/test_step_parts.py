"""The parts of a training step: together they are the step's arithmetic, no more and no less."""

import dataclasses
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp.architectures.parameters import param_shapes
from diffcomp.architectures.registry import BASE, PUBLISHED
from diffcomp.config import from_mapping
from diffcomp.profiling import step_parts
from diffcomp.profiling.complexity import count_macs
from diffcomp.profiling.step_parts import filled, training_parts
from diffcomp.training.config import Config
from diffcomp.training.sharding import make_mesh
from diffcomp.training.train_state import state_form
from diffcomp.training.train_step import make_train_step

CONFIGS = Path(__file__).parents[1] / "configs"
ALL = ["encoder", "hyper", "context decoder", "score network", "losses", "optimiser"]


def smoke(name):
    return from_mapping(Config, runpy.run_path(str(CONFIGS / name))["get_config"]("smoke"))


@pytest.fixture(scope="module")
def config():
    return smoke("base.py")


@pytest.fixture(scope="module")
def params(config):
    return param_shapes(config.model)


@pytest.mark.parametrize("objective", [*BASE.objectives, *PUBLISHED.objectives])
def test_the_parts_multiply_as_often_as_the_step(objective):
    """But for the linear reconstruction, which the stage "context" forms twice, for a metric."""
    others = {"published": "kodak_lambda.py", "rate": "base_coding.py"}
    config = smoke(others.get(objective, "base.py"))
    (index,) = [i for i, stage in enumerate(config.stages) if stage.objective == objective]
    stage, mesh = config.stages[index], make_mesh(config.mesh)
    parts = training_parts(config, stage, param_shapes(config.model))
    found = {part.name: count_macs(part.function, *part.args) for part in parts}
    batch = jax.ShapeDtypeStruct((stage.batch, stage.crop, stage.crop, 3), jnp.uint8)
    step = make_train_step(config, stage, index, mesh)
    whole = count_macs(step, state_form(config, stage, mesh), batch)
    rel = 0.05 if objective == "context" else 0.002
    assert sum(found.values()) == pytest.approx(whole, rel=rel)


def test_the_joint_step_has_all_parts(config, params):
    assert [part.name for part in training_parts(config, config.stages[-1], params)] == ALL


def test_losses_that_a_configuration_asks_for_are_parts():
    config = smoke("base_structure.py")
    (stage,) = config.stages
    parts = training_parts(config, stage, param_shapes(config.model))
    further = ["losses: MS-SSIM", "losses: DISTS", "losses: LPIPS by VGG16"]
    assert [part.name for part in parts] == [*ALL[:-1], *further, ALL[-1]]
    found = {part.name: count_macs(part.function, *part.args) for part in parts}
    assert min(found[name] for name in further) > 0
    # Of 64x64 pixels, of which VGG16 sees 48x48.
    whole = dataclasses.replace(stage, vgg_side=0)
    for part in training_parts(config, whole, param_shapes(config.model)):
        share = (48 / 64) ** 2 if part.name in further[1:] else 1
        expected = share * count_macs(part.function, *part.args)
        assert found[part.name] == pytest.approx(expected, rel=0.05)


def test_no_gradient_of_what_a_stage_leaves_alone(config, params):
    """The stage of the score network alone goes back through it and the losses, no further."""
    counts = {}
    for stage in config.stages[-2:]:
        for part in training_parts(config, stage, params):
            counts[stage.objective, part.name] = count_macs(part.function, *part.args)
    for name in ("encoder", "hyper", "context decoder"):
        forward, both = counts["decoder", name], counts["joint", name]
        assert 2 * forward < both < 3.2 * forward
    assert counts["decoder", "losses"] == counts["joint", "losses"] > 0


def test_a_part_runs_on_arrays_of_its_shapes(config, params):
    parts = training_parts(config, config.stages[0], filled(params))
    (part,) = [part for part in parts if part.name == "hyper"]
    rate, (by_params, by_y) = part.function(*filled(part.args))
    assert rate.y_hat.shape == (2, 4, 4, 24)
    assert set(by_params) and all("hyperprior/" in path for path in by_params)
    assert by_y == {}  # the linear path before it is not trained


def test_filled_keeps_arrays_and_repeats_itself():
    tree = {
        "a": jax.ShapeDtypeStruct((2, 3), jnp.float32),
        "n": jax.ShapeDtypeStruct((), jnp.int32),
    }
    one, two = filled(tree), filled(tree)
    np.testing.assert_array_equal(one["a"], two["a"])
    assert 0 <= one["a"].min() < one["a"].max() < 1 and one["n"] == 0
    assert filled(one)["a"] is one["a"]


def test_an_unknown_family_is_refused(config, params, monkeypatch):
    monkeypatch.delitem(step_parts.PARTS, "base")
    with pytest.raises(ValueError, match="architecture is 'base'; parts are known of cdc"):
        training_parts(config, config.stages[-1], params)


def test_losses_are_those_of_the_step_with_dists_too():
    config = smoke("base_further.py")
    parts = training_parts(config, config.stages[-1], param_shapes(config.model))
    assert [part.name for part in parts] == [*ALL[:-1], "losses: DISTS", ALL[-1]]


def test_losses_are_those_of_the_step_with_lpips_by_vgg_too():
    config = smoke("base_areas.py")
    parts = training_parts(config, config.stages[-1], param_shapes(config.model))
    more = ["losses: DISTS", "losses: LPIPS by VGG16"]
    assert [part.name for part in parts] == [*ALL[:-1], *more, ALL[-1]]
