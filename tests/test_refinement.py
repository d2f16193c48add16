"""Latents fitted to one picture."""

from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffcomp import cli, codec, codec_networks, refinement
from diffcomp.coding.flat_areas import FlatAreas, find_flat_areas
from diffcomp.distances import lpips_weights
from diffcomp.refinement import BLOCK, _free, _spans, check_effort

TINY = Path(__file__).parent / "golden" / "tiny_model"


@pytest.fixture(scope="module")
def tiny():
    return codec.load(TINY)


@pytest.mark.parametrize("side", [1, 7, 8, 9, 14, 15, 40])
def test_blocks_cover_a_side_once_and_look_beyond_what_they_move(side):
    spans = list(_spans(side))
    moved = [i for span in spans for i in range(span.kept_start, span.kept_stop)]
    assert moved == list(range(side))
    for span in spans:
        assert span.stop - span.start == min(side, BLOCK)
        assert span.start == 0 or span.start < span.kept_start
        assert span.stop == side or span.kept_stop < span.stop


def test_where_y_may_move():
    spans = list(_spans(10))
    free = _free(spans[1], spans[0])
    assert free.shape == (32, 32)
    assert free[:20].sum() == 0 and free[20:, :28].all() and free[:, 28:].sum() == 0


def test_refined_latents_have_a_lower_loss(tiny, photo, monkeypatch):
    # Random weights give gradients that only long steps can follow; nothing of it is kept.
    monkeypatch.setattr(refinement, "RATE", 0.1)
    monkeypatch.setattr(
        refinement,
        "_program",
        cache(lambda c, s, _, n: jax.jit(partial(refinement.descend, c, s, n))),
    )
    loss = refinement_loss(tiny, photo)
    y, z = tiny.networks.encode(photo, 96)
    refined = tiny.networks.refine(photo, None, y, z, 96, effort=3)
    assert loss(refined, z) < 0.999 * loss(y, z)
    # Where the file states the colour y is free, and only its bits count.
    numbers = np.ones([-(-side // 4) for side in photo.shape[:2]], np.int32)
    everywhere = FlatAreas(numbers, np.zeros((1, 3), np.uint8))
    free = tiny.networks.refine(photo, everywhere, y, z, 96, effort=3)
    assert np.any(free != refined)


def test_files_of_refined_latents_decode(tiny, photo):
    data = tiny.compress(photo, effort=1)
    assert data == tiny.compress(photo, effort=1)
    assert tiny.decompress(data).shape == photo.shape


def refinement_loss(tiny, photo):
    """The loss that is to fall, of y and z at quality 4, computed anew."""
    from diffcomp.networks.latents import Latents
    from diffcomp.objectives.base import Conditions, latents_loss
    from diffcomp.objectives.objective import Objective
    from diffcomp.pixels import to_float

    network = tiny._architecture.network(tiny.model.config)
    weights = lpips_weights.load_lpips("alex")
    objective = Objective(network, refinement.LOSS, (), lpips_weights=weights)
    model = objective.bind(tiny.model.params)
    height, width = (-(-side // 64) * 64 for side in photo.shape[:2])
    x = to_float(jnp.asarray(codec_networks._pad(photo, height, width))[None])
    assert find_flat_areas(photo) is None
    flat = jnp.zeros((1, height, width, 1), bool)
    one = jnp.ones(1)
    c = Conditions(4 * one, one, one, jnp.zeros_like(x), None)

    def loss(y, z):
        padded = codec_networks._pad(y, height // 16, width // 16)
        return float(latents_loss(objective, model, x, flat, Latents(padded[None], z[None]), c)[0])

    return loss


@pytest.mark.parametrize("effort", [-1, 10, 1.5, "7", None])
def test_no_such_effort(tiny, photo, effort):
    with pytest.raises(ValueError, match="effort is .*; it must be an integer from 0 to 9"):
        tiny.compress(photo, effort=effort)


def test_models_of_one_rate_make_none():
    check_effort(0, one_rate=True)
    with pytest.raises(ValueError, match="effort is 3; a model of one rate takes none but 0"):
        check_effort(3, one_rate=True)


def test_effort_on_the_command_line(tiny, photo, tmp_path):
    from PIL import Image

    Image.fromarray(photo).save(tmp_path / "x.png")
    path = str(tmp_path / "x.png")
    assert cli.main(["compress", path, "--model", str(TINY), "--effort", "1", "--quiet"]) == 0
    assert (tmp_path / "x.dfc").read_bytes() == tiny.compress(photo, effort=1)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["compress", path, "--model", str(TINY), "--effort", "10", "--force"])
