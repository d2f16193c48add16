"""JAX's persistent compilation cache, so that only the first run of a size waits for XLA."""

import contextlib
import glob
import logging
import os
import re
import shutil
from pathlib import Path

import jax
import platformdirs

log = logging.getLogger(__name__)

LEAST_FREE = 2**26  # bytes of the disk; a program takes up to some megabytes


def cache_folder() -> str:
    """What may be kept between runs is kept here: DIFFCOMP_CACHE or the user's; empty: nowhere."""
    if "DIFFCOMP_CACHE" in os.environ:
        return os.environ["DIFFCOMP_CACHE"]
    try:
        users = platformdirs.user_cache_dir("diffcomp")
    except RuntimeError:
        return ""
    # Of a user without a home it would be "~" in the current folder, or, of late, an error.
    return users if os.path.isabs(users) else ""


def enable() -> None:
    """Keeps compiled programs in a user cache folder, unless a folder is configured already.

    DIFFCOMP_CACHE names another folder; an empty value turns the cache off. Where nothing can be
    written, programs are compiled anew by each process, and a warning is logged.
    """
    folder = cache_folder()
    if jax.config.jax_compilation_cache_dir is None and folder and _usable(folder):
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _usable(folder: str) -> bool:
    if "://" in folder:  # in a bucket; JAX knows how to write there
        return True
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        log.warning("no compiled program is kept: %s", error)
        return False
    if not os.access(folder, os.W_OK | os.X_OK):
        log.warning("no compiled program is kept: %s cannot be written to", folder)
        return False
    # JAX would leave the beginning of a file there.
    if shutil.disk_usage(folder).free < LEAST_FREE:
        log.warning("no compiled program is kept: the disk of %s is full", folder)
        return False
    return True


def drop_unreadable(warning: str) -> None:
    """Removes what JAX has kept of the programs that it says it cannot read; nothing otherwise.

    A file that was cut off, by a full disk or a kill, it would never replace: each process would
    compile anew. The warning names the program, of which there may be files for several shapes.
    """
    found = re.match(r"Error reading persistent compilation cache entry for '(\w+)", warning)
    folder = jax.config.jax_compilation_cache_dir
    if found is None or not folder or "://" in folder:
        return
    for path in Path(folder).glob(f"{glob.escape(found[1])}-*-cache"):
        with contextlib.suppress(OSError):
            path.unlink()
