"""JAX's persistent compilation cache, so that only the first run of a size waits for XLA."""

import os

import jax
import platformdirs


def enable() -> None:
    """Keeps compiled programs in a user cache folder, unless a folder is configured already.

    DIFFCOMP_CACHE names another folder; an empty value turns the cache off.
    """
    folder = os.environ.get("DIFFCOMP_CACHE", platformdirs.user_cache_dir("diffcomp"))
    if jax.config.jax_compilation_cache_dir is None and folder:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
