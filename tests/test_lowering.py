"""Every program is lowered for GPUs and TPUs, which needs none of them."""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax import export

from diffcomp import network_programs
from diffcomp.architectures.parameters import param_shapes
from diffcomp.config import from_mapping
from diffcomp.training.config import Config
from diffcomp.training.sharding import make_mesh
from diffcomp.training.train_state import state_form
from diffcomp.training.train_step import make_train_step

PLATFORMS = ("cuda", "tpu")
CONFIGS = Path(__file__).resolve().parents[1] / "configs"
TRAININGS = ("base", "base_further", "base_graphics", "kodak_lambda", "kodak_lambda_epsilon")
SIDE = 64


def config_of(name, **train):
    values = runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"]("smoke")
    with values.unlocked():
        values.train.update(train)
    return from_mapping(Config, values)


def shape(*sides, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sides, dtype)


def lowered(function, *args):
    """The program for all platforms, having checked that it is one for each."""
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*args)
    assert exported.platforms == PLATFORMS
    assert exported.mlir_module()
    return exported


@pytest.mark.parametrize("name", TRAININGS)
def test_encoding_and_decoding(name):
    model = config_of(name).model
    params, one = param_shapes(model), shape()
    image = shape(SIDE, SIDE, 3, dtype=jnp.uint8)

    def encode(params, image, quality):
        return network_programs.encode(model, params, image, quality)

    y, z = lowered(encode, params, image, one).out_avals
    assert (y.shape[:2], z.shape[:2]) == ((4, 4), (1, 1))

    def encode_batch(params, images, quality):
        return network_programs.encode_batch(model, params, images, quality)

    batch = shape(2, *image.shape, dtype=jnp.uint8)
    latents = lowered(encode_batch, params, batch, one).out_avals
    assert [each.shape for each in latents] == [(2, *y.shape), (2, *z.shape)]
    for dtype in ("float32", "bfloat16"):

        def synthesize(params, y_hat, *knobs, dtype=dtype):
            return network_programs.synthesize(model, 2, dtype, params, y_hat, *knobs)

        knobs = (one, one, one, one, shape(dtype=jnp.uint32))
        (picture,) = lowered(synthesize, params, shape(*y.shape), *knobs).out_avals
        assert (picture.shape, picture.dtype) == (image.shape, jnp.uint8)


@pytest.mark.parametrize(
    ("name", "dtype"), [("base", "float32"), *((name, "bfloat16") for name in TRAININGS)]
)
def test_a_training_step(name, dtype):
    config = config_of(name, compute_dtype=dtype, matmul_precision="tensorfloat32")
    mesh, index = make_mesh(config.mesh), len(config.stages) - 1
    stage = config.stages[index]
    batch = shape(stage.batch, stage.crop, stage.crop, 3, dtype=jnp.uint8)
    step = make_train_step(config, stage, index, mesh)
    exported = lowered(step, state_form(config, stage, mesh), batch)
    assert len(exported.out_avals) > len(jax.tree.leaves(state_form(config, stage, mesh)))
