"""The programs of a folder, each read and compiled when it is first called."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax import export

from diffcomp.export import model_shapes
from diffcomp.export.shipped_models import ModelError
from diffcomp.exported_programs.manifest import FUNCTIONS, Manifest
from diffcomp.params import Params

log = logging.getLogger(__name__)


class ProgramSet:
    """The programs that a manifest lists, all of whose files are read and checked at once.

    tiles_only: never those of any size. Raises ModelError for a file that is missing or damaged.
    """

    def __init__(self, folder: Path, manifest: Manifest, tiles_only: bool = False):
        self.manifest = manifest
        self.any_size = manifest.any_size and not tiles_only
        self.folder = folder
        self._data = {
            (function, size): manifest.read_program(folder, function, size)
            for function in FUNCTIONS
            for size in manifest.sizes()
        }
        self._compiled: dict[tuple[str, int], Callable[..., Any]] = {}

    def tile_of(self, height: int, width: int) -> int:
        """Side of the tile whose programs take exactly this size; 0 if only those of any size do.

        Raises ValueError if there is neither.
        """
        if height == width and height in self.manifest.tiles:
            return height
        if not self.any_size:
            raise ValueError(
                f"there is no program for {width} x {height} pixels; tiles are"
                f" {', '.join(map(str, self.manifest.tiles))}."
            )
        return 0

    def run(self, function: str, size: tuple[int, int], params: Params, *args: Any) -> Any:
        """Calls the program of a function, see `network_programs`, for a picture of (H, W).

        Raises ModelError at the first call if the parameters are not those of the program.
        """
        key = function, self.tile_of(*size)
        if key not in self._compiled:
            exported = self._exported(*key)
            (form, *_), _ = jax.tree.unflatten(exported.in_tree, exported.in_avals)
            shapes = {path: value.shape for path, value in form.items()}
            model_shapes.compare(params, shapes, f"{self.folder}:", f"the program {function} takes")
            self._compiled[key] = jax.jit(exported.call)
        return self._compiled[key](params, *args)

    def _exported(self, function: str, tile: int) -> export.Exported:
        try:
            # A copy: `deserialize` takes a bytearray.
            exported = export.deserialize(bytearray(self._data[function, tile]))
        except Exception as error:  # flatbuffers and MLIR raise whatever their readers meet
            raise ModelError(
                f"{self.folder}: the program {function} of tile {tile or 'any'} cannot be read by"
                f" JAX {jax.__version__}: {error}"
            ) from error
        log.info("exported program %s, tile %s, is read", function, tile or "any")
        return exported
