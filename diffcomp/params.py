"""Parameters by their path in the networks, such as "hyperprior/analysis/basis": plain dicts."""

from collections.abc import Iterable, Mapping
from typing import Any

Params = dict[str, Any]  # path -> array, NumPy's or JAX's


def under(path: str, prefixes: Iterable[str]) -> bool:
    """Whether a path is one of the prefixes or lies below one.

    >>> under("prior/bias0", ("prior",)), under("prior2/bias0", ("prior",))
    (True, False)
    """
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def variables_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by path -> the tree that a module's `apply` and `bind` take."""
    tree: dict[str, Any] = {}
    for path, value in params.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return {"params": tree}
