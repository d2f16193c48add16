"""Distances between the set of decoded and the set of original images, FID and the like."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.image_sets import ImageSet
from diffcomp.evaluation.measuring import stream_path
from diffcomp.evaluation.metrics.patches import count_patches
from diffcomp.evaluation.row_file import RowFile
from diffcomp.evaluation.rows import quality_text

AUTO = "auto"  # those by VGG16 that there are patches enough for
OF_VGG = ("fd_vgg", "kd_vgg")

Sets = dict[tuple[str, str], dict[str, float]]


class Chosen(Protocol):
    """What is read of the configuration."""

    inception: str


def check(names: Sequence[str], inception: str) -> None:
    """Raises ValueError for a name that is no distance of sets, FileNotFoundError for no file."""
    if set(names) <= {AUTO}:
        return
    # Imported late: the networks behind these distances are large.
    from diffcomp.evaluation.metrics.distribution_distances import SET_METRICS

    for name in names:
        if name not in (AUTO, *SET_METRICS):
            known = ", ".join((AUTO, *SET_METRICS))
            raise ValueError(f"set metric is {name!r}; it must be one of: {known}.")
    if inception and not Path(inception).is_file():
        raise FileNotFoundError(f"{inception}: no such file (weights of Inception)")


def possible(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with all that "auto" may stand for."""
    expanded = [each for name in names for each in (OF_VGG if name == AUTO else (name,))]
    return tuple(dict.fromkeys(expanded))


def chosen(names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """The names, with what "auto" stands for at images of these heights and widths."""
    counts = [count_patches(*size) for size in sizes]
    if AUTO not in names or not all(counts):
        return tuple(name for name in names if name != AUTO)
    from diffcomp.evaluation.metrics.distribution_distances import SET_METRICS

    enough = [name for name in OF_VGG if SET_METRICS[name].min_patches <= sum(counts)]
    return tuple(name for name in possible(names) if name in enough or name in names)


def compare_sets(
    names: Sequence[str],
    images: ImageSet,
    candidates: Sequence[Candidate],
    config: Chosen,
    rows: RowFile,
) -> tuple[Sets, list[str]]:
    """Each distance by (codec, quality), and a sentence for each that could not be had.

    The kept files are decoded once more: the decoded images of a run need not fit on the disk.
    Those of one codec and quality must fit in memory.
    """
    sets, notes = {}, {}
    if not names:
        return sets, []
    originals = {image.name: image.pixels for image in images}
    vectors = _Vectors(Path(config.inception) if config.inception else None)
    for candidate in candidates:
        for quality in candidate.qualities:
            key = (candidate.name, quality_text(quality))
            known = [name for name in originals if (name, *key) in rows.rows]
            decoded = [
                candidate.decode(stream_path(rows.folder, candidate, quality, name).read_bytes())
                for name in known
            ]
            references = {name: originals[name] for name in known}
            values, reasons = _distances(names, decoded, references, vectors)
            sets[key] = values
            notes |= dict.fromkeys(reasons)
    return sets, list(notes)


class _Vectors:
    """What networks make of sets of images; of the last set of originals once for all codecs."""

    def __init__(self, inception: Path | None):
        self._inception = inception
        self._of_originals: dict[bool, tuple[list[str], np.ndarray]] = {}

    def of_originals(self, name: str, images: Mapping[str, np.ndarray]) -> np.ndarray:
        network = _uses_inception(name)
        if self._of_originals.get(network, ([],))[0] != list(images):
            found = self.of(name, list(images.values()), "references")
            self._of_originals[network] = (list(images), found)
        return self._of_originals[network][1]

    def of(self, name: str, images: Sequence[np.ndarray], what: str) -> np.ndarray:
        from diffcomp.evaluation.metrics.distribution_distances import features_of

        return features_of(name, images, what, self._inception)


def _uses_inception(name: str) -> bool:
    from diffcomp.evaluation.metrics.distribution_distances import SET_METRICS

    return SET_METRICS[name].uses_inception


def _distances(
    names: Sequence[str],
    decoded: Sequence[np.ndarray],
    originals: Mapping[str, np.ndarray],
    vectors: _Vectors,
) -> tuple[dict[str, float], list[str]]:
    from diffcomp.evaluation.metrics.distribution_distances import distance_of_features

    values, reasons, of_decoded = {}, [], {}
    for name in names:
        network = _uses_inception(name)
        try:
            references = vectors.of_originals(name, originals)
            if network not in of_decoded:
                of_decoded[network] = vectors.of(name, decoded, "images")
            found = distance_of_features(name, of_decoded[network], references)
        except (ValueError, RuntimeError, ImportError, OSError, MemoryError) as error:
            reasons.append(f"{name} is missing: {error}")
        else:
            values[name] = float(found.value)
            values["patches"] = found.patches
    return values, reasons
