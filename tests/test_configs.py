"""Every file in configs/. The rules of the typed configuration are tested in test_config.py."""

import json
import runpy
from pathlib import Path

import jax
import pytest

from diffcomp.architectures.parameters import init_params
from diffcomp.architectures.registry import BASE
from diffcomp.config import from_mapping, to_dict
from diffcomp.evaluation.baselines import BASELINES
from diffcomp.evaluation.evaluate import EvaluateConfig, chosen_metrics
from diffcomp.evaluation.protocols import get_protocol
from diffcomp.training.config import Config
from diffcomp.training.optimizer import trainable_part

FILES = sorted((Path(__file__).resolve().parents[1] / "configs").glob("*.py"))
EVALUATIONS = [file for file in FILES if file.stem.startswith("evaluate_")]
TRAININGS = [file for file in FILES if file not in EVALUATIONS]
VARIANTS = ["", "smoke"]


def each(files):
    return pytest.mark.parametrize("file", files, ids=lambda file: file.stem)


every_config = pytest.mark.parametrize("variant", VARIANTS)
every_file, every_training, every_evaluation = map(each, (FILES, TRAININGS, EVALUATIONS))


def get_config(file, variant=""):
    return runpy.run_path(str(file))["get_config"](variant)


def test_there_are_configs():
    assert "base" in [file.stem for file in TRAININGS]
    assert "evaluate_kodak" in [file.stem for file in EVALUATIONS]


@every_training
@every_config
def test_every_config_builds_and_survives_json(file, variant):
    config = from_mapping(Config, get_config(file, variant))
    assert from_mapping(Config, json.loads(json.dumps(to_dict(config)))) == config
    assert len({stage.name for stage in config.stages}) == len(config.stages) > 0


@every_training
@every_config
def test_every_stage_names_an_objective_and_parameters_that_exist(file, variant):
    config = from_mapping(Config, get_config(file, variant))
    params = jax.eval_shape(lambda: init_params(config.model, jax.random.key(0)))
    trained = set()
    for stage in config.stages:
        assert 0 <= stage.warmup < stage.steps
        part = trainable_part(stage, params)  # raises for a prefix that names nothing
        assert part
        trained |= part.keys()
    if not from_mapping(Config, get_config(file)).train.init:  # else parts may stay as they are
        assert {path.split("/")[0] for path in params} == {path.split("/")[0] for path in trained}


@every_file
def test_every_config_is_locked(file):
    config = get_config(file)
    with pytest.raises(AttributeError, match="locked"):
        config.learning_rat = 1.0


@every_file
def test_a_variant_that_does_not_exist_is_refused(file):
    with pytest.raises(ValueError, match="variant is 'smok'; it must be '' or 'smoke'"):
        get_config(file, "smok")


def test_the_smoke_variant_takes_a_few_steps_of_every_stage():
    (base,) = [file for file in FILES if file.stem == "base"]
    full, small = (from_mapping(Config, get_config(base, variant)) for variant in VARIANTS)
    assert [s.name for s in full.stages] == ["linear", "context", "score", "joint"]
    assert [s.name for s in small.stages] == [s.name for s in full.stages]
    assert [s.objective for s in small.stages] == [s.objective for s in full.stages]
    assert small.loss == full.loss
    assert small.model.latent_channels < full.model.latent_channels
    (coding,) = [file for file in FILES if file.stem == "base_coding"]
    alone = from_mapping(Config, get_config(coding, "smoke")).stages
    objectives = [{s.objective for s in stages} for stages in (small.stages, alone)]
    assert objectives == [set(BASE.objectives) - {"rate"}, {"rate"}]
    assert all(s.steps <= 2 and s.batch <= 2 for s in small.stages)


@every_training
def test_a_misspelt_field_is_refused_naming_near_ones(file):
    values = to_dict(from_mapping(Config, get_config(file)))
    values["stages"][-1]["learning_rat"] = 1.0
    with pytest.raises(
        ValueError,
        match=r"stages\[\d\]\.learning_rat is unknown; StageConfig has: learning_rate\.",
    ):
        from_mapping(Config, values)


@every_evaluation
@every_config
def test_every_evaluation_names_what_exists(file, variant):
    config = from_mapping(EvaluateConfig, get_config(file, variant))
    assert from_mapping(EvaluateConfig, json.loads(json.dumps(to_dict(config)))) == config
    assert chosen_metrics(config.metrics)
    assert set(config.baselines) <= set(BASELINES)
    assert {part.split("=")[-1] for part in config.anchor.split(",")} <= set(config.baselines)
    assert config.protocol == "none" or get_protocol(config.protocol).name in file.stem
    assert set(config.realism_0_metrics) <= set(chosen_metrics(config.metrics))


@every_evaluation
def test_a_misspelt_field_of_an_evaluation_is_refused(file):
    values = to_dict(from_mapping(EvaluateConfig, get_config(file)))
    with pytest.raises(ValueError, match=r"config\.qualites is unknown; EvaluateConfig has: qual"):
        from_mapping(EvaluateConfig, values | {"qualites": [1.0]})
