"""The usual codecs as candidates: by Pillow and its plugins, or by programs on the PATH.

Each writes real files, header included, at a ladder of qualities from about 0.1 to 1.2 bits per
pixel of a photograph. Colour is sampled as the settings say: most of these formats halve it in both
directions (4:2:0) unless asked otherwise.
"""

import dataclasses

from diffcomp.evaluation import pillow_codecs, program_codecs
from diffcomp.evaluation.candidates import Candidate

BASELINES = (*pillow_codecs.PILLOW_FORMATS, *program_codecs.PROGRAM_CODECS)


def baseline_candidate(text: str) -> Candidate:
    """A candidate from NAME, or NAME=QUALITY/QUALITY/... for another ladder than the usual.

    Raises ValueError for a name or quality that does not exist, ImportError naming the package to
    install, and FileNotFoundError naming the program that is not on the PATH.
    """
    name, _, ladder = text.partition("=")
    if name not in BASELINES:
        raise ValueError(f"baseline is {name!r}; it must be one of: {', '.join(BASELINES)}.")
    qualities = _qualities(ladder) if ladder else ()
    if name in pillow_codecs.PILLOW_FORMATS:
        return pillow_codecs.pillow_candidate(name, qualities)
    candidate = program_codecs.program_candidate(name)
    return dataclasses.replace(candidate, qualities=qualities) if qualities else candidate


def _qualities(ladder: str) -> tuple[int, ...]:
    try:
        return tuple(int(quality) for quality in ladder.split("/"))
    except ValueError:
        raise ValueError(
            f"ladder is {ladder!r}; it must be whole numbers with slashes, such as 10/30/60."
        ) from None
