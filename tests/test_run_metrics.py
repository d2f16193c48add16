import dataclasses
import logging
import math

import jax.numpy as jnp
import pytest
from small_stage import stage

from diffcomp.data.input_pipeline import WaitTimer
from diffcomp.objectives.base import noise_level_terms
from diffcomp.training.run_metrics import Window, psnr_by_noise_level


def window(**changes):
    return Window(dataclasses.replace(stage(), **changes), WaitTimer(iter([])))


def test_a_window_averages_and_starts_anew(caplog):
    metrics = window(steps=100, batch=8)
    for value in (1.0, 3.0):
        metrics.add({"loss": jnp.float32(value)})
    assert metrics.means(2) == {"loss": 2.0}
    with caplog.at_level(logging.INFO, logger="diffcomp"):
        closed = metrics.close(2, skipped=3)
    assert closed["loss"] == 2.0
    assert closed["images_skipped"] == 3
    assert closed["images_per_second"] == pytest.approx(8 / closed["seconds_per_step"])
    assert 0 <= closed["share_waiting"] <= 1
    assert caplog.records[-1].message.startswith("score 2/100 (")
    assert "min left) loss 2 " in caplog.records[-1].message
    metrics.add({"loss": jnp.float32(7.0)})
    assert metrics.means(3) == {"loss": 7.0}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_that_is_not_finite_is_named_with_its_step(value):
    metrics = window()
    metrics.add({"bpp": jnp.float32(1.0), "mse": jnp.float32(value)})
    with pytest.raises(
        FloatingPointError, match=f"mse is {value} within the last 1 steps before step 5 of stage"
    ):
        metrics.means(5)


def test_psnr_by_noise_level_is_that_of_the_mean_error_of_its_images():
    mse = jnp.array([1.0, 4.0, 100.0, 7.0])
    t = jnp.array([0.0, 0.24, 0.5, 1.0])
    terms = {name: float(jnp.mean(v)) for name, v in noise_level_terms(mse, t).items()}
    found = psnr_by_noise_level({"loss": 1.0} | terms)
    expected = {0: 2.5, 2: 100.0, 3: 7.0}  # no image at level 1
    assert found.pop("loss") == 1.0
    assert found.keys() == {f"psnr_x0_t{k}" for k in expected}
    for k, error in expected.items():
        assert found[f"psnr_x0_t{k}"] == pytest.approx(10 * math.log10(255**2 / error), rel=1e-5)
