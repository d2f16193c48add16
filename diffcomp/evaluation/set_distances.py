"""Distances between the set of decoded and the set of original images, FID and the like."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.image_sets import ImageSet
from diffcomp.evaluation.measuring import stream_path
from diffcomp.evaluation.row_file import RowFile
from diffcomp.evaluation.rows import quality_text

Sets = dict[tuple[str, str], dict[str, float]]


class Chosen(Protocol):
    """What is read of the configuration."""

    set_metrics: tuple[str, ...]
    inception: str


def check(names: Sequence[str], inception: str) -> None:
    """Raises ValueError for a name that is no distance of sets, FileNotFoundError for no file."""
    if not names:
        return
    # Imported late: the networks behind these distances are large.
    from diffcomp.evaluation.metrics.distribution_distances import SET_METRICS

    for name in names:
        if name not in SET_METRICS:
            raise ValueError(
                f"set metric is {name!r}; it must be one of: {', '.join(SET_METRICS)}."
            )
    if inception and not Path(inception).is_file():
        raise FileNotFoundError(f"{inception}: no such file (weights of Inception)")


def compare_sets(
    images: ImageSet, candidates: Sequence[Candidate], config: Chosen, rows: RowFile
) -> tuple[Sets, list[str]]:
    """Each distance by (codec, quality), and a sentence for each that could not be had.

    The kept files are decoded once more: the decoded images of a run need not fit on the disk.
    Those of one codec and quality must fit in memory.
    """
    sets, notes = {}, {}
    if not config.set_metrics:
        return sets, []
    originals = {image.name: image.pixels for image in images}
    for candidate in candidates:
        for quality in candidate.qualities:
            key = (candidate.name, quality_text(quality))
            known = [name for name in originals if (name, *key) in rows.rows]
            decoded = [
                candidate.decode(stream_path(rows.folder, candidate, quality, name).read_bytes())
                for name in known
            ]
            values, reasons = _distances(decoded, [originals[name] for name in known], config)
            sets[key] = values
            notes |= dict.fromkeys(reasons)
    return sets, list(notes)


def _distances(
    decoded: list[np.ndarray], originals: list[np.ndarray], config: Chosen
) -> tuple[Mapping[str, float], list[str]]:
    from diffcomp.evaluation.metrics.distribution_distances import set_distance

    values, reasons = {}, []
    for name in config.set_metrics:
        try:
            inception = Path(config.inception) if config.inception else None
            found = set_distance(name, decoded, originals, inception=inception)
        except (ValueError, RuntimeError, ImportError, OSError, MemoryError) as error:
            reasons.append(f"{name} is missing: {error}")
        else:
            values[name] = float(found.value)
            values["patches"] = found.patches
    return values, reasons
