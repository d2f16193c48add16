"""JAX's persistent compilation cache, so that only the first run of a size waits for XLA."""

import os

import jax
import platformdirs


def cache_folder() -> str:
    """What may be kept between runs is kept here: DIFFCOMP_CACHE or the user's; empty: nowhere."""
    return os.environ.get("DIFFCOMP_CACHE", platformdirs.user_cache_dir("diffcomp"))


def enable() -> None:
    """Keeps compiled programs in a user cache folder, unless a folder is configured already.

    DIFFCOMP_CACHE names another folder; an empty value turns the cache off.
    """
    folder = cache_folder()
    if jax.config.jax_compilation_cache_dir is None and folder:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
