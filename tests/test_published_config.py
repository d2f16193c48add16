import dataclasses
import json

import pytest

from diffcomp.config import from_mapping, to_dict
from diffcomp.published.config import EPSILONPARAM, XPARAM, CdcConfig


@pytest.mark.parametrize("config", [XPARAM, EPSILONPARAM])
def test_a_variant_survives_json(config):
    assert from_mapping(CdcConfig, json.loads(json.dumps(to_dict(config)))) == config


def test_the_widths_are_those_of_the_paper():
    assert XPARAM.compressor_widths == (64, 128, 192, 256)
    assert XPARAM.score_widths == (64, 128, 192, 256, 320, 384)
    assert XPARAM.latent_channels == 256
    assert XPARAM.context_widths == (64, 64, 128, 192)
    assert EPSILONPARAM.context_widths == (3, 64, 128, 192)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("prediction", "v", "prediction is 'v'; it must be x0 or eps"),
        ("schedule", "sigmoid", "schedule is 'sigmoid'; it must be cosine or linear"),
        ("time_input", "", "time_input is ''; it must be index or step"),
        ("width", 0, "width is 0; it must be at least 1"),
        ("context_channels", -1, "context_channels is -1; it must be at least 1"),
        ("training_steps", 0, "training_steps is 0; it must be at least 1"),
        ("score_multipliers", (1, 2, 3, 4), "has 4 resolutions; the 4 context maps need"),
    ],
)
def test_a_value_out_of_the_choices_is_refused(field, value, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(XPARAM, **{field: value})
