"""Reads one checkpoint, and makes all processes agree on whether it is damaged or does not fit."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils

# What orbax, tensorstore and json raise for files that are missing, cut short or changed.
_DAMAGE = (OSError, ValueError, KeyError, TypeError)


class Position(NamedTuple):
    """Where in the run a state belongs; also where its data go on: batch `step` of the stage."""

    stage: int  # index into config.stages
    step: int  # steps done of that stage


class DamagedCheckpointError(ValueError):
    """A checkpoint cannot be read; the text names it and the reason."""


Form = Callable[[Position], dict[str, Any]]


def read(folder: epath.Path, stages: int, form: Form) -> tuple[Position, dict[str, Any]]:
    """Position and arrays of the checkpoint in `folder`, in all processes or in none.

    The files are read without orbax's manager: it has barriers, at which those processes that can
    read their part would wait for one that cannot.

    Args:
      folder: of one checkpoint, as `Checkpoints.save` writes it.
      stages: how many the config has.
      form: position -> what to read: trees of `jax.ShapeDtypeStruct` with shardings, by their
        names in the saved state.

    Raises:
      DamagedCheckpointError: files are missing, cut short or changed.
      ValueError: the stage does not exist, or the trees are not those that `form` tells.
    """
    found, error = None, None
    try:
        found = _read(folder, stages, form)
    except ValueError as caught:
        error = caught
    damaged = isinstance(error, DamagedCheckpointError)
    misfit = _in_any_process(error is not None and not damaged)
    if not _in_any_process(damaged) and not misfit:
        return found
    if error is None or (damaged and misfit):
        kind = ValueError if misfit else DamagedCheckpointError
        error = kind(f"checkpoint {folder.name} is of no use to another process; see its error")
    raise error


def copy(tree: Any) -> Any:
    """A copy of all arrays, each on its sharding; jitted, for parts may be in other processes."""
    return _copier(tree)(tree)


def _copier(tree: Any) -> Any:
    shardings = jax.tree.map(lambda leaf: leaf.sharding, tree)
    return jax.jit(_copy_each, out_shardings=shardings)


def _copy_each(tree: Any) -> Any:
    return jax.tree.map(jnp.copy, tree)


def _read(folder: epath.Path, stages: int, form: Form) -> tuple[Position, dict[str, Any]]:
    with _damage_named(folder):
        position = Position(**ocp.JsonCheckpointHandler().restore(folder / "position"))
    if position.stage >= stages:
        raise ValueError(
            f"checkpoint {folder.name} is of stage {position.stage};"
            f" the config ends at stage {stages - 1}."
        )
    wanted = form(position)
    with closing(ocp.PyTreeCheckpointHandler()) as handler:
        with _damage_named(folder):
            stored = handler.metadata(folder / "state").tree
            stored = {name: stored[name] for name in wanted}
        _require_fit(folder, wanted, stored)
        # Raises ValueError for shardings that cannot be; reading would take that for damage.
        _copier(wanted).lower(wanted)
        args = ocp.args.PyTreeRestore(
            wanted,
            restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
            partial_restore=True,
        )
        with _damage_named(folder):
            arrays = handler.restore(folder / "state", args=args)
    return position, copy(arrays)


def _in_any_process(flag: bool) -> bool:
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.array(flag)).any())


@contextmanager
def _damage_named(folder: epath.Path) -> Iterator[None]:
    """Turns what the block raises for damaged files into one error that names the checkpoint."""
    try:
        yield
    except _DAMAGE as error:
        text = f"checkpoint {folder.name} cannot be read: {type(error).__name__}: {error}"
        raise DamagedCheckpointError(text) from error


def _require_fit(folder: epath.Path, wanted: dict, stored: dict) -> None:
    """Raises ValueError if the trees differ in structure or in the shape of an array."""
    serialized = ocp.tree.serialize_tree(wanted, keep_empty_nodes=True)
    difference = ocp.tree.tree_difference(
        serialized,
        stored,
        # An empty node, such as the state of a stateless optimiser, is stored as None.
        is_leaf=lambda node: hasattr(node, "shape") or not jax.tree.leaves(node),
        leaves_equal=lambda a, b: hasattr(a, "shape") == hasattr(b, "shape"),
    )
    misfit = f"checkpoint {folder.name} does not fit the config:"
    if difference is not None:
        raise ValueError(f"{misfit} structures do not match: {difference}")
    shapes = {path: leaf.shape for path, leaf in ocp.tree.to_flat_dict(stored).items()}
    for path, leaf in ocp.tree.to_flat_dict(serialized).items():
        if leaf.shape != shapes[path]:
            raise ValueError(
                f"{misfit} {'/'.join(path)} of shape: {leaf.shape} is not compatible with the"
                f" stored shape: {shapes[path]}"
            )
