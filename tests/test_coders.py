"""Models as coders."""

import numpy as np
import pytest
from tiny_model import MODEL, codec, image

from diffcomp import exported_model
from diffcomp.cdc_import import import_cdc
from diffcomp.evaluation.coders import fingerprint, model_coders


def test_each_realism_is_a_coder_of_the_same_files():
    natural, exact = model_coders(str(MODEL), (3, 5), (1, 0), steps=1, seed=0)
    name = codec().model.name
    assert (natural.name, exact.name) == (name, f"{name} r=0")
    data = natural.encode(image(), 5)
    assert data == exact.encode(image(), 5) == codec().compress(image(), 5)
    np.testing.assert_array_equal(exact.decode(data), codec().decompress(data, steps=1, realism=0))
    assert not np.array_equal(exact.decode(data), natural.decode(data))
    assert "realism 0" in exact.settings and "steps 1" in exact.settings
    assert f"{codec().model.coder.fingerprint:08x}" in exact.settings


def test_no_steps_are_the_decoders_own():
    (coder,) = model_coders(str(MODEL), (3,), (1,), steps=0, seed=0)
    data = coder.encode(image(), 3)
    np.testing.assert_array_equal(coder.decode(data), codec().decompress(data))


def test_sizes_of_one_bucket_share_a_program():
    (coder,) = model_coders(str(MODEL), (3,), (1,), steps=1, seed=0)
    assert coder.program(65, 100) == coder.program(128, 128) != coder.program(129, 128)


@pytest.mark.parametrize(
    ("quality", "realism", "text"), [(9, 1, "quality is 9"), (3, 2, "realism is 2")]
)
def test_settings_out_of_range_are_refused(quality, realism, text):
    with pytest.raises(ValueError, match=text):
        model_coders(str(MODEL), (quality,), (realism,), steps=1, seed=0)


def test_fingerprints_tell_names_and_values_apart():
    params = {"a": np.zeros(3, np.float32), "b": np.ones(2, np.float32)}
    same = {"b": np.ones(2, np.float32), "a": np.zeros(3, np.float32)}
    assert fingerprint(params) == fingerprint(same)
    assert fingerprint(params) != fingerprint(params | {"b": np.float32([1, 1.001])})
    assert fingerprint(params) != fingerprint({"a": params["a"], "c": params["b"]})


def test_a_model_of_one_rate_is_one_coder_without_quality_and_realism(tmp_path):
    model = import_cdc(MODEL.parent / "cdc" / "xparam_tiny.pt", "published")
    exported_model.save(model, tmp_path / "published")
    (coder,) = model_coders(str(tmp_path / "published"), (2, 4), (0, 1), steps=1, seed=0)
    assert (coder.name, coder.qualities) == ("published", (None,))
    assert "steps 1" in coder.settings and "realism" not in coder.settings
    assert coder.program(65, 100) == coder.program(66, 128) != coder.program(64, 100)
