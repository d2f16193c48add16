"""A codec that runs with exported programs: it imports no Flax and no network."""

import logging
from pathlib import Path

from diffcomp import compilation_cache
from diffcomp.codec import Codec
from diffcomp.export import exported_model
from diffcomp.export.shipped_models import model_folder
from diffcomp.exported_programs import manifest
from diffcomp.exported_programs.networks import ProgramNetworks
from diffcomp.exported_programs.program_set import ProgramSet

log = logging.getLogger(__name__)


def load(model: str | Path, *, tiles_only: bool = False, any_jax: bool = False) -> Codec:
    """A codec from the folder of an exported model that has programs beside its parameters.

    Its files are those of `diffcomp.load`, and it reads them. It takes neither `effort` nor
    bfloat16, and does not estimate bits.

    tiles_only: pictures are padded to one of the fixed tiles, and larger ones refused; else the
    programs of any size are used, if there are some. any_jax: also where JAX does not promise to
    read the programs.

    Raises ModelError, before JAX reads any of them, for programs that are missing, damaged, of
    another model, or for another JAX or device.
    """
    compilation_cache.enable()
    folder = model_folder(model)
    loaded = exported_model.load(folder, for_networks=False)
    programs = folder / manifest.FOLDER
    found = manifest.read(programs)
    manifest.check(found, loaded, any_jax)
    log.info("model %s is loaded, with programs of JAX %s", loaded.name, found.jax)
    return Codec(loaded, ProgramNetworks(loaded, ProgramSet(programs, found, tiles_only)))
