"""JAX's persistent compilation cache, so that only the first run of a size waits for XLA."""

import logging
import os

import jax
import platformdirs

log = logging.getLogger(__name__)


def cache_folder() -> str:
    """What may be kept between runs is kept here: DIFFCOMP_CACHE or the user's; empty: nowhere."""
    return os.environ.get("DIFFCOMP_CACHE", platformdirs.user_cache_dir("diffcomp"))


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
    return True
