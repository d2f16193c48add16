"""`programs/manifest.json`: what there is to know of a model's programs before any is read.

All that can be wrong with them is found here, or by `Manifest.read_program`, and named in a
ModelError, before JAX is given a byte of them. A checksum finds damage, not malice: who can write
the folder can write its manifest.
"""

import dataclasses
import datetime
import hashlib
import json
from pathlib import Path

import jax
import jaxlib
from jax import export

from diffcomp.architectures.registry import AnyModelConfig
from diffcomp.coding.grid import Z_STRIDE
from diffcomp.config import from_mapping, to_dict
from diffcomp.export.exported_model import ExportedModel
from diffcomp.export.shipped_models import ModelError
from diffcomp.exported_programs import jax_window
from diffcomp.exported_programs.jax_window import Days

FOLDER = "programs"  # in the folder of the model
FILE = "manifest.json"
FORMAT = 1  # of the manifest, and of what the programs take and give
FUNCTIONS = ("encode", "context", "denoise_step")  # of `network_programs`
LARGEST = 2**26  # bytes of a file


@dataclasses.dataclass(frozen=True)
class ProgramFile:
    function: str
    tile: int  # side of the picture in pixels; 0 for any height and width, multiples of 64
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return file_name(self.function, self.tile)


@dataclasses.dataclass(frozen=True)
class Manifest:
    format: int
    model: str
    fingerprint: str  # of the coding part, as in model.json
    config: AnyModelConfig  # the programs are of; any weights of it fit
    exported: str  # ISO date, as the two below
    jax: str  # versions of the exporter
    jaxlib: str
    readable_from: str  # jaxlib's release, see `jax_window`
    readable_until: str
    calling_convention: int
    platforms: tuple[str, ...]
    tiles: tuple[int, ...]
    any_size: bool  # whether there are programs of symbolic height and width
    any_size_fault: str  # why not
    programs: tuple[ProgramFile, ...]

    @property
    def readable(self) -> Days:
        ends = (self.readable_from, self.readable_until)
        return Days(*map(datetime.date.fromisoformat, ends))

    def sizes(self) -> tuple[int, ...]:
        """The `tile` of the programs that there must be."""
        return self.tiles + ((0,) if self.any_size else ())

    def write(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(to_dict(self), indent=1) + "\n")

    def read_program(self, folder: Path, function: str, tile: int) -> bytes:
        """The bytes of a program's file; ModelError if they are not those that were written."""
        (entry,) = (p for p in self.programs if (p.function, p.tile) == (function, tile))
        path = folder / entry.name
        try:
            if path.stat().st_size != entry.bytes:
                raise ModelError(
                    f"{path} has {path.stat().st_size} bytes, but {FILE} says {entry.bytes}: it is"
                    " damaged or of another export."
                )
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise ModelError(
                f"{path} has another SHA-256 than {FILE} says: it is damaged or of another export."
            )
        return data


def file_name(function: str, tile: int) -> str:
    return f"{function}_{tile or 'any'}.stablehlo"


def read(folder: Path) -> Manifest:
    """The manifest of a folder of programs; ModelError for one that is missing or not readable."""
    path = folder / FILE
    if not path.is_file():
        raise ModelError(
            f"{path} is missing: the model has no exported programs."
            " Write them with: python launch/export.py MODEL --programs"
        )
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        values = json.loads(path.read_text())
        if isinstance(values, dict) and values.get("format") != FORMAT:
            raise ValueError(f"it has format {values.get('format')!r}, not {FORMAT}")
        manifest = from_mapping(Manifest, values, "manifest")
        _check_list(manifest)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        reason = str(error).rstrip(".")
        raise ModelError(f"{path} is not a readable manifest: {reason}.") from error
    return manifest


def is_tile(side: int) -> bool:
    """Whether there can be programs for pictures of this side, pixels."""
    return side > 0 and side % Z_STRIDE == 0


def _check_list(manifest: Manifest) -> None:
    """Raises ValueError unless the manifest lists each program that it must, once, and its days."""
    wanted = sorted(file_name(f, size) for f in FUNCTIONS for size in manifest.sizes())
    found = sorted(program.name for program in manifest.programs)
    if not wanted or found != wanted:
        raise ValueError(f"it lists {', '.join(found)}, but must list {', '.join(wanted)}")
    if not all(map(is_tile, manifest.tiles)):
        raise ValueError(f"tiles are {manifest.tiles}; they must be multiples of {Z_STRIDE}")
    if any(not 0 < program.bytes <= LARGEST for program in manifest.programs):
        raise ValueError(f"a program must have 1 to {LARGEST} bytes")
    _ = manifest.readable


def check(manifest: Manifest, model: ExportedModel, any_jax: bool = False) -> None:
    """Raises ModelError unless the programs are the model's, and for the JAX and device here.

    any_jax: also where JAX does not promise to read them.
    """
    fingerprint = f"{model.coder.fingerprint:08x}"
    if manifest.fingerprint != fingerprint:
        raise ModelError(
            f"the programs are of the model with fingerprint {manifest.fingerprint}, but the"
            f" parameters beside them have {fingerprint}: they do not belong together."
        )
    if manifest.config != model.config:
        raise ModelError(
            f"the programs are of another configuration than the parameters of {model.name!r}"
            " beside them: they do not belong together."
        )
    oldest = export.minimum_supported_calling_convention_version
    newest = export.maximum_supported_calling_convention_version
    if not oldest <= manifest.calling_convention <= newest:
        raise ModelError(
            f"the programs have calling convention {manifest.calling_convention}; JAX"
            f" {jax.__version__} reads {oldest} to {newest}. Write them anew from the parameters."
        )
    if not any_jax:
        reader, today = jaxlib.__version__, datetime.date.today()
        jax_window.check(manifest.jaxlib, manifest.readable, reader, today)
    here = export.default_export_platform()
    if here not in manifest.platforms:
        raise ModelError(
            f"the programs are for {', '.join(manifest.platforms)}; JAX runs on {here} here."
        )
