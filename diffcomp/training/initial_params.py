"""What training starts from: an exported model, or random networks around a linear codec."""

import logging
import math
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from diffcomp.architectures.parameters import init_params, param_shapes
from diffcomp.architectures.registry import architecture_of
from diffcomp.coding.grid import Y_STRIDE
from diffcomp.config import to_dict
from diffcomp.data.crop_slots import CropSlots
from diffcomp.data.input_pipeline import CropDataset
from diffcomp.export import exported_model
from diffcomp.export.shipped_models import model_folder
from diffcomp.objectives import karhunen_loeve
from diffcomp.params import Params
from diffcomp.pixels import to_float
from diffcomp.training import sharding
from diffcomp.training.config import Config

log = logging.getLogger(__name__)

PATCH_SIDE, PATCH_BATCH = 64, 32  # of the crops, pixels and images, that patches are taken from
PATCH_SEED = 999  # added to the data's seed: other crops than those of the first steps


def initial_params(config: Config, mesh: Mesh, slots: CropSlots) -> Params:
    """What training starts from, on the mesh.

    An exported model, if `train.init` names one (ModelError or ValueError if it cannot serve);
    else random parameters, around a linear codec fitted to the training images where the
    architecture has one.
    """
    if config.train.init:
        return sharding.place(mesh, _exported_params(config))
    forms = sharding.with_shardings(mesh, param_shapes(config.model))
    shardings = {path: form.sharding for path, form in forms.items()}
    create = jax.jit(lambda key: init_params(config.model, key), out_shardings=shardings)
    params = create(jax.random.key(config.train.seed))
    architecture = architecture_of(config.model)
    if not architecture.starts_linear:
        return params
    log.info("fitting the Karhunen-Loeve transform")
    mean, covariance = karhunen_loeve.patch_covariance(_patch_batches(config, slots))
    fitted = architecture.linear_codec(mean, covariance, config.model, config.loss)
    return {**params, **sharding.place(mesh, fitted)}


def _exported_params(config: Config) -> dict[str, np.ndarray]:
    model = exported_model.load(model_folder(config.train.init))
    if model.config != config.model:
        raise ValueError(
            f"train.init is {config.train.init}, a model of configuration {to_dict(model.config)};"
            f" it must have that of the run, {to_dict(config.model)}."
        )
    log.info("starting from model %s", model.name)
    return model.params


def _patch_batches(config: Config, slots: CropSlots) -> Iterator[np.ndarray]:
    patches = PATCH_BATCH * (PATCH_SIDE // Y_STRIDE) ** 2
    # Every process takes all of them, so all start from the same transform.
    dataset = CropDataset(
        slots, side=PATCH_SIDE, batch=PATCH_BATCH, seed=config.data.seed + PATCH_SEED
    )
    for i in range(math.ceil(config.train.klt_patches / patches)):
        yield np.asarray(to_float(dataset[i]))
