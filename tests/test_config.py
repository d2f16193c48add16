"""Tests of the typed configuration: every mistake is named. The files: see test_configs.py."""

import copy
import dataclasses
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict
from small_model import CDC_LOSS

from diffcomp.config import from_mapping, to_dict
from diffcomp.networks.config import ModelConfig
from diffcomp.published.config import EPSILONPARAM
from diffcomp.training.config import Config

BASE = Path(__file__).resolve().parents[1] / "configs" / "base.py"
GET_CONFIG = runpy.run_path(str(BASE))["get_config"]


def plain() -> dict[str, Any]:
    """The smoke configuration as JSON would hold it, free to be spoiled."""
    return json.loads(json.dumps(to_dict(from_mapping(Config, GET_CONFIG("smoke")))))


def spoiled(path: str, value: Any) -> dict[str, Any]:
    """`plain()` with one value replaced; `path` is dotted."""
    values = plain()
    *parents, last = path.split(".")
    place: Any = values
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    place[last] = value
    return values


def test_result_is_immutable_and_a_model_config_can_be_a_static_argument() -> None:
    config = from_mapping(Config, GET_CONFIG("smoke"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.model.latent_channels = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        config.stages[0].multipliers["hyperprior"] = 2.0
    again = from_mapping(Config, GET_CONFIG("smoke"))
    assert {config.model: "compiled"}[again.model] == "compiled"


def test_integers_become_floats_where_floats_are_meant() -> None:
    config = from_mapping(Config, spoiled("model.base_error", 1))
    assert isinstance(config.model.base_error, float)
    assert config.model.base_error == 1.0


def test_the_source_is_not_changed_or_kept() -> None:
    source = plain()
    before = copy.deepcopy(source)
    config = from_mapping(Config, source)
    source["stages"][0]["multipliers"].clear()
    assert to_dict(config) == before


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model.latent_chanels", 8, r"config.model.latent_chanels is unknown; .* latent_channels"),
        ("modle", {}, r"config.modle is unknown; Config has: model"),
        (
            "zzz",
            0,
            r"config.zzz is unknown; Config has: data, decode, loss, mesh, model, stages",
        ),
        ("stages.1.batchsize", 4, r"config.stages\[1\].batchsize is unknown; StageConfig .*batch"),
        ("model.latent_channels", 8.0, r"latent_channels is 8.0; it must be of type int"),
        ("model.latent_channels", True, r"latent_channels is True; it must be of type int"),
        ("model.latent_channels", None, r"latent_channels is None; it must be of type int"),
        ("model.base_error", "0.1", r"base_error is '0.1'; it must be of type float"),
        ("model.base_error", False, r"base_error is False; it must be of type float"),
        ("data.train", 3, r"config.data.train is 3; it must be of type str"),
        ("data.cache_decoded", 1, r"cache_decoded is 1; it must be of type bool"),
        ("model.widths", [1, 2], r"config.model.widths is \[1, 2\]; it takes 3 values"),
        ("model.widths", [1, 2, "3"], r"config.model.widths\[2\] is '3'; it must be of type int"),
        ("model.widths", 8, r"config.model.widths is 8; it must be a list of values"),
        ("model.widths", "123", r"config.model.widths is '123'; it must be a list of values"),
        ("model", 3, r"config.model is 3; it must be a mapping of names to values"),
        ("stages", ["linear"], r"config.stages\[0\] is 'linear'; it must be a mapping"),
        ("stages.0.multipliers", [1.0], r"multipliers is \[1.0\]; it must be a mapping"),
        ("validation.side", 63, r"validation.side is 63; it must be at least 64\."),
        ("validation.steps", -1, r"validation.steps is -1; it must be at least 0\."),
        ("validation.images", -1, r"validation.images is -1; it must be at least 0\."),
        ("validation.panels", -1, r"validation.panels is -1; it must be at least 0\."),
        ("validation.qualities", [2.0, 9.0], r"quality is 9.0; it must be in \[1, 8\]"),
        (
            "validation.qualities",
            [],
            r"validation.qualities is \(\); architecture 'base' needs at least one\.",
        ),
        ("stages.0.multipliers", {"a": "b"}, r"multipliers.a is 'b'; it must be of type float"),
    ],
)
def test_mistake_is_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_mapping(Config, spoiled(path, value))


def test_a_model_of_one_rate_is_validated_at_no_quality() -> None:
    published = {"model": to_dict(EPSILONPARAM), "loss": to_dict(CDC_LOSS), "stages": []}
    with pytest.raises(
        ValueError,
        match=r"qualities is \(2.0, 6.0\); architecture 'cdc' has one rate and takes none\.",
    ):
        from_mapping(Config, plain() | published)
    values = spoiled("validation.qualities", []) | published
    assert from_mapping(Config, values).validation.qualities == ()


def test_missing_keys_are_all_named() -> None:
    values = plain()["model"]
    del values["widths"], values["base_error"]
    with pytest.raises(ValueError, match=r"^model lacks: widths, base_error\.$"):
        from_mapping(ModelConfig, values, "model")


def test_config_dict_and_dict_give_the_same() -> None:
    assert from_mapping(Config, ConfigDict(plain())) == from_mapping(Config, plain())


@pytest.mark.parametrize(
    ("where", "field", "value", "message"),
    [
        ("train", "compute_dtype", "float16", "compute_dtype is 'float16'; it must be one of"),
        ("train", "matmul_precision", "tf32", "matmul_precision is 'tf32'; it must be one of"),
        ("loss", "lpips_net", "alx", "net is 'alx'; it must be one of 'alex', 'vgg'"),
        (-1, "objective", "joind", r"stage 'joint' has objective 'joind'; .* one of linear, "),
        (
            -1,
            "objective",
            "published",
            "must be one of linear, rate, context, decoder",
        ),
        (-1, "schedule", "cosin", "stage 'joint' has schedule 'cosin'; it must be one of cosine"),
        (-1, "crop", 100, "stage 'joint' has crop 100; it must be a multiple of 64"),
        (-1, "crop", 0, "stage 'joint' has crop 0; it must be a multiple of 64"),
        (-1, "vgg_images", 99, "stage 'joint' has vgg_images 99; it must be from 0 to"),
        (-1, "vgg_side", 64, "stage 'joint' has vgg_side 64, but vgg_images 0"),
        (-1, "vgg_side", 40, "stage 'joint' has vgg_side 40; it must be a multiple of 16 from 0"),
        (-1, "vgg_side", 144, "vgg_side 144; it must be a multiple of 16 from 0 to its crop, 128"),
    ],
)
def test_what_a_late_stage_cannot_run_is_refused_at_the_start(where, field, value, message):
    values = runpy.run_path(str(BASE))["get_config"]()
    with values.unlocked():
        (values.stages[where] if isinstance(where, int) else values[where])[field] = value
    with pytest.raises(ValueError, match=message):
        from_mapping(Config, values)


def test_the_published_networks_take_no_vgg_images() -> None:
    values = runpy.run_path(str(BASE.with_name("kodak_lambda.py")))["get_config"]()
    with values.unlocked():
        values.stages[-1].vgg_images = 1
    with pytest.raises(ValueError, match="has vgg_images 1; for architecture 'cdc' it must be 0"):
        from_mapping(Config, values)
