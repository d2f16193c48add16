"""Whether the arrays of a model are, in name and shape, those of its configuration.

To know it, all networks are traced, which takes seconds and imports Flax. So it is done once:
models of the package were checked when they were saved, and what was found right of other folders
is noted beside the compiled programs. A checksum in `model.json` proves nothing of a folder from a
stranger: who can write the arrays can write their checksum.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from diffcomp.architectures.registry import AnyModelConfig
from diffcomp.config import to_dict
from diffcomp.export.shipped_models import MODELS, ModelError
from diffcomp.params import Params


def checksum(config: AnyModelConfig, params: Params) -> str:
    """CRC-32, in hexadecimal, of the configuration and of the shape of every parameter."""
    return f"{zlib.crc32(_text(config, params).encode()):08x}"


def check_loaded(
    params: Params, config: AnyModelConfig, directory: Path, stated: object = None
) -> None:
    """As `check`, without tracing where it is known already; `stated` is the folder's checksum."""
    if directory.parent == MODELS and stated == checksum(config, params):
        return
    from diffcomp import program_store  # JAX, which not every reader of a folder has imported

    identity = "shapes", _text(config, params)
    if not program_store.is_noted(identity):
        check(params, config, directory)
        program_store.note(identity)


def check(params: Params, config: AnyModelConfig, directory: Path) -> None:
    """Raises ModelError unless `params` are, in name and shape, those of a model of `config`."""
    from diffcomp.architectures.parameters import param_shapes

    try:
        shapes = {path: value.shape for path, value in param_shapes(config).items()}
    except Exception as error:  # whatever networks of impossible sizes raise
        raise ModelError(f"{directory}: no networks have its configuration: {error}") from error
    compare(params, shapes, f"{directory}:", "a model of this configuration has")


def compare(params: Params, shapes: Mapping[str, tuple[int, ...]], where: str, whose: str) -> None:
    """Raises ModelError for the first parameter, by path, of another name or shape than `shapes`.

    The error says `where` it is, and after "but" `whose` the other shape is.
    """
    found = {path: value.shape for path, value in params.items()}
    for path in sorted(shapes.keys() | found.keys()):
        if shapes.get(path) != found.get(path):
            raise ModelError(
                f"{where} parameter {path} has shape {found.get(path)}, but {whose}"
                f" {shapes.get(path)}."
            )


def _text(config: AnyModelConfig, params: Params) -> str:
    shapes = {path: list(value.shape) for path, value in params.items()}
    return json.dumps([to_dict(config), shapes], sort_keys=True)
