"""Typed, frozen configuration: what a `ConfigDict` from `configs/` becomes on entry.

Each room has the dataclasses of its own part; this reads and writes any of them. Meaning, unit and
default of every field stand in `configs/base.py`, over the field.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def from_mapping(cls: type[T], values: Mapping[str, Any], path: str = "config") -> T:
    """Builds the dataclass `cls` from nested mappings (a `ConfigDict`, or parsed JSON).

    Of a union of dataclasses, the key "architecture" picks one. Raises ValueError for an unknown
    key (naming the closest known ones), a missing key, and a value of the wrong type; `path` is
    the place named in the message.
    """
    _require_mapping(values, path)
    if isinstance(cls, types.UnionType) or (
        hasattr(cls, "ARCHITECTURE") and "architecture" in values
    ):
        cls, values = _alternative(cls, values, path)
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=3) or sorted(hints)
            raise ValueError(f"{path}.{key} is unknown; {cls.__name__} has: {', '.join(near)}.")
    missing = [name for name in hints if name not in values]
    if missing:
        raise ValueError(f"{path} lacks: {', '.join(missing)}.")
    built = {name: _convert(hint, values[name], f"{path}.{name}") for name, hint in hints.items()}
    return cls(**built)


def to_dict(config: Any) -> dict[str, Any]:
    """The inverse of `from_mapping`: nested dicts, lists and scalars that JSON can hold."""
    if dataclasses.is_dataclass(config):
        tag = {"architecture": config.ARCHITECTURE} if hasattr(config, "ARCHITECTURE") else {}
        values = {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
        return tag | values
    if isinstance(config, Mapping):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, tuple):
        return [to_dict(value) for value in config]
    return config


def _alternative(cls: Any, values: Mapping[str, Any], path: str) -> tuple[type, dict[str, Any]]:
    """The dataclass that "architecture" names, cls or one of a union, and the other values."""
    choices = {c.ARCHITECTURE: c for c in typing.get_args(cls) or (cls,)}
    rest = dict(values.items())
    name = rest.pop("architecture", None)
    if name not in choices:
        raise ValueError(
            f"{path}.architecture is {name!r}; it must be one of {', '.join(choices)}."
        )
    return choices[name], rest


def _require_mapping(value: Any, path: str) -> None:
    # A ConfigDict has the methods of a Mapping but is none.
    if not hasattr(value, "items"):
        raise ValueError(f"{path} is {value!r}; it must be a mapping of names to values.")


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) or isinstance(hint, types.UnionType):
        return from_mapping(hint, value, path)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{path} is {value!r}; it must be a list of values.")
        variadic = args[-1] is Ellipsis
        # What ml_collections makes of `--config.NAME=` for a tuple of names.
        if variadic and args[0] is str and "" in value:
            raise ValueError(f"{path} is {value!r}, with an empty name; none at all is ().")
        if not variadic and len(value) != len(args):
            raise ValueError(f"{path} is {value}; it takes {len(args)} values.")
        hints = [args[0]] * len(value) if variadic else args
        return tuple(
            _convert(h, v, f"{path}[{i}]")
            for i, (h, v) in enumerate(zip(hints, value, strict=True))
        )
    if origin is not None and issubclass(origin, Mapping):
        _require_mapping(value, path)
        pairs = {str(k): _convert(args[1], v, f"{path}.{k}") for k, v in value.items()}
        return types.MappingProxyType(pairs)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{path} is {value!r}; it must be of type {hint.__name__}.")
    return value
