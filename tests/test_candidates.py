"""Models as candidates."""

import numpy as np
import pytest
from tiny_model import MODEL, codec, image

from diffcomp.evaluation.candidates import model_candidates, tuned_on, weights_crc
from diffcomp.evaluation.protocols import PROTOCOLS
from diffcomp.export import exported_model
from diffcomp.export.published_import import import_cdc
from diffcomp.export.shipped_models import model_folder, model_names


def test_each_realism_is_a_candidate_of_the_same_files():
    natural, exact = model_candidates(str(MODEL), (3, 5), (1, 0), steps=(1,))
    name = codec().model.name
    assert (natural.name, exact.name) == (name, f"{name} r=0")
    data = natural.encode(image(), 5)
    assert data == exact.encode(image(), 5) == codec().compress(image(), 5)
    np.testing.assert_array_equal(exact.decode(data), codec().decompress(data, steps=1, realism=0))
    assert not np.array_equal(exact.decode(data), natural.decode(data))
    assert "realism 0" in exact.settings and "steps 1" in exact.settings
    assert f"{codec().model.coder.fingerprint:08x}" in exact.settings


def test_no_steps_are_the_decoders_own():
    (candidate,) = model_candidates(str(MODEL), (3,), (1,))
    data = candidate.encode(image(), 3)
    np.testing.assert_array_equal(candidate.decode(data), codec().decompress(data))


def test_each_combination_of_steps_and_noise_is_a_candidate_and_says_so():
    candidates = model_candidates(str(MODEL), (3,), (1, 0), steps=(1, 2), gammas=(0.0, 0.4), seed=5)
    name = codec().model.name
    assert [candidate.name for candidate in candidates] == [
        f"{name}{r} steps={steps} gamma={gamma}"
        for r in ("", " r=0")
        for steps in (1, 2)
        for gamma in ("0", "0.4")
    ]
    data = candidates[3].encode(image(), 3)
    expected = codec().decompress(data, steps=2, gamma=0.4, seed=5, realism=1)
    np.testing.assert_array_equal(candidates[3].decode(data), expected)
    assert "steps 2" in candidates[3].settings and "gamma 0.4" in candidates[3].settings
    assert len({candidate.settings for candidate in candidates}) == 8


def test_sizes_of_one_bucket_share_a_program():
    (candidate,) = model_candidates(str(MODEL), (3,), (1,), steps=(1,))
    assert candidate.program(65, 100) == candidate.program(128, 128) != candidate.program(129, 128)


@pytest.mark.parametrize(
    ("quality", "options", "text"),
    [
        (9, {}, "quality is 9"),
        (3, {"realisms": (2,)}, "realism is 2"),
        (3, {"steps": (0,)}, "steps is 0"),
        (3, {"gammas": (1.5,)}, "gamma is 1.5"),
    ],
)
def test_settings_out_of_range_are_refused(quality, options, text):
    with pytest.raises(ValueError, match=text):
        model_candidates(str(MODEL), (quality,), **options)


def test_the_crc_of_weights_tells_names_and_values_apart():
    params = {"a": np.zeros(3, np.float32), "b": np.ones(2, np.float32)}
    same = {"b": np.ones(2, np.float32), "a": np.zeros(3, np.float32)}
    assert weights_crc(params) == weights_crc(same)
    assert weights_crc(params) != weights_crc(params | {"b": np.float32([1, 1.001])})
    assert weights_crc(params) != weights_crc({"a": params["a"], "c": params["b"]})


def test_a_model_of_one_rate_is_one_candidate_without_quality_and_realism(tmp_path):
    model = import_cdc(MODEL.parent / "cdc" / "xparam_tiny.pt", "published")
    exported_model.save(model, tmp_path / "published")
    (candidate,) = model_candidates(str(tmp_path / "published"), (2, 4), (0, 1), steps=(1,))
    assert (candidate.name, candidate.qualities) == ("published", (None,))
    assert "steps 1" in candidate.settings and "realism" not in candidate.settings
    assert candidate.program(65, 100) == candidate.program(66, 128) != candidate.program(64, 100)


def test_what_a_model_was_tuned_on_stands_in_its_card():
    assert tuned_on({"stage": "joint"}) == () == model_candidates(str(MODEL), (3,))[0].tuned_on
    assert tuned_on({"tuned_on": ["cid22"]}) == ("cid22",)
    with pytest.raises(ValueError, match="tuned_on is 'cid22'; it must be a list of protocols"):
        tuned_on({"tuned_on": "cid22"})
    for name in model_names().values():
        assert set(tuned_on(exported_model.load(model_folder(name)).card)) <= set(PROTOCOLS)
