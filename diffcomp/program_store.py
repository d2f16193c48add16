"""Programs that are found again without building them anew.

JAX's persistent compilation cache saves XLA's work, but each start still traces all networks to
find out which program is wanted, and imports Flax to do so. Beside the compiled programs, in the
same folder, this keeps what the tracing gave (StableHLO, by `jax.export`) under a name that holds
all that it depends on: what is computed, on what kind of device, and the code of this package.
"""

import functools
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax import export

from diffcomp.files import atomic_file
from diffcomp.files.atomic_file import FileError

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parent
DIGEST = 32  # bytes of SHA-256, in front of a kept program


class Program:
    """A function of arrays, traced at its first call unless an earlier process has traced it.

    Args:
      build: gives the function, which is traced for the arrays of the first call.
      identity: what tells this program from others; the shapes of all arrays follow from it.
    """

    def __init__(self, build: Callable[[], Callable[..., Any]], identity: tuple[object, ...]):
        self._build, self._identity = build, identity
        self._function: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        if self._function is None:
            exported = self._exported(*args)
            log.info("runs on %s", jax.devices()[0])
            self._function = jax.jit(exported.call).lower(*args).compile()
            log.info("program %s is compiled, or found compiled", self._identity[0])
        return self._function(*args)

    def _exported(self, *args: Any) -> export.Exported:
        folder = _folder()
        path = folder / f"{_name(self._identity)}.stablehlo" if folder else None
        kept = _find(path) if path else None
        if kept is not None:
            log.info("program %s is found traced", self._identity[0])
            return export.deserialize(bytearray(kept))
        exported = export.export(jax.jit(self._build()))(*args)
        log.info("program %s is traced", self._identity[0])
        if path is not None:
            data = bytes(exported.serialize())
            _keep(path, _digest(data) + data)
        return exported


def is_noted(identity: tuple[object, ...]) -> bool:
    """Whether a process has noted, of the code as it is, that something is so."""
    folder = _folder()
    return folder is not None and _find(folder / f"{_name(identity)}.noted") is not None


def note(identity: tuple[object, ...]) -> None:
    """Keeps that something is so, which it took long to find out; nothing without a cache."""
    folder = _folder()
    if folder is not None:
        _keep(folder / f"{_name(identity)}.noted", _digest(b""))


def _name(identity: tuple[object, ...]) -> str:
    settings = (jax.__version__, jax.default_backend(), jax.config.jax_enable_x64)
    text = repr((identity, settings, code_digest()))
    return f"program-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


@functools.cache
def code_digest() -> str:
    """Of all code that a program may be made of: none outlives a change of it."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode() + path.read_bytes())
    return digest.hexdigest()


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _folder() -> Path | None:
    """Where JAX keeps compiled programs, if that is a folder here."""
    folder = jax.config.jax_compilation_cache_dir
    enabled = folder and jax.config.jax_enable_compilation_cache and "://" not in folder
    return Path(folder) if enabled else None


def _find(path: Path) -> bytes | None:
    """What the file keeps, if it is there, can be read and is whole."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s cannot be read: %s", path, error)
        return None
    if data[:DIGEST] != _digest(data[DIGEST:]):
        log.warning("%s is damaged, and is written anew", path)
        return None
    return data[DIGEST:]


def _keep(path: Path, data: bytes) -> None:
    """Writes the file whole; a folder that cannot be written to costs time, not the result."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write_bytes(path, data, overwrite=True)
    except (OSError, FileError) as error:
        log.warning("%s cannot be kept: %s", path, error)
