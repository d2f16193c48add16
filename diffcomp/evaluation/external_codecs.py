"""Any codec of two programs as a candidate, described in a JSON file: `--external FILE`.

    {"name": {"encode": ["enc", "--qp", "{q}", "{src}", "{bits}"],
              "decode": ["dec", "{bits}", "{dst}"],
              "qualities": [40, 35, 30, 25], "suffix": ".bin", "version": "2.1"}}

`{src}` is a PNG of the original, `{bits}` the file that counts, `{dst}` a PNG that the decoder
writes, `{q}` the quality. The decoder gets the file alone, in a folder of its own. `suffix` and
`version` may be left out; the settings of a row have both commands and the CRC-32 of both programs.
"""

import functools
import json
import shutil
import string
from pathlib import Path
from typing import Any

from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.metrics.programs import named_with_crc
from diffcomp.evaluation.program_codecs import decode_by, encode_by

_PLACES = {"encode": {"q", "src", "bits"}, "decode": {"bits", "dst"}}
_FIELDS = {"encode", "decode", "qualities", "suffix", "version"}


def external_candidates(path: str) -> list[Candidate]:
    """The candidates that a JSON file describes.

    Raises ValueError for a file that is none or a field that is missing or unknown, and
    FileNotFoundError for a file or program that does not exist; both name the file.
    """
    try:
        described = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file (external codecs)") from None
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON: {error}") from error
    if not isinstance(described, dict):
        raise ValueError(f"{path}: must be an object of codecs by name.")
    return [_candidate(f"{path}: codec {name}", name, each) for name, each in described.items()]


def _candidate(where: str, name: str, described: Any) -> Candidate:
    if not isinstance(described, dict):
        raise ValueError(f"{where}: must be an object with {', '.join(sorted(_FIELDS))}.")
    for field in described:
        if field not in _FIELDS:
            known = ", ".join(sorted(_FIELDS))
            raise ValueError(f"{where}: {field!r} is unknown; it has: {known}.")
    encode, decode = (_command(where, step, described.get(step)) for step in _PLACES)
    suffix, version = described.get("suffix", ".bin"), described.get("version", "")
    if not (isinstance(suffix, str) and suffix.startswith(".") and "/" not in suffix):
        raise ValueError(f"{where}: suffix is {suffix!r}; it must be a text such as '.bin'.")
    programs = ", ".join(named_with_crc(_program(where, c[0])) for c in (encode, decode))
    stated = f"version {version}, " if version else ""
    return Candidate(
        name=name,
        settings=f"{stated}{programs}: {' '.join(encode)}; {' '.join(decode)}",
        qualities=_qualities(where, described.get("qualities")),
        encode=functools.partial(encode_by, encode),
        decode=functools.partial(decode_by, decode),
        suffix=suffix,
        is_model=False,
    )


def _command(where: str, step: str, command: Any) -> list[str]:
    """A command with all of its places and no other."""
    parts = command if isinstance(command, list) else []
    if not parts or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{where}: {step} is {command!r}; it must be a list of texts.")
    try:
        places = {place for part in parts for _, place, _, _ in string.Formatter().parse(part)}
    except ValueError as error:
        raise ValueError(f"{where}: {step}: {error}") from error
    wanted = _PLACES[step]
    if places - {None} != wanted:
        texts = ", ".join(f"{{{place}}}" for place in sorted(wanted))
        raise ValueError(f"{where}: {step} must have the places {texts}, and no others.")
    return parts


def _program(where: str, name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{where}: there is no program {name} on the PATH.")
    return Path(found)


def _qualities(where: str, qualities: Any) -> tuple[float, ...]:
    are_numbers = isinstance(qualities, list) and all(
        isinstance(q, int | float) and not isinstance(q, bool) for q in qualities
    )
    if not (are_numbers and qualities):
        raise ValueError(f"{where}: qualities is {qualities!r}; it must be a list of numbers.")
    return tuple(qualities)
