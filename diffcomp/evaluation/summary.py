"""Means over the images of each codec and quality, and the Bjontegaard rates of their curves."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from diffcomp.evaluation.bd_rate import bd_rate
from diffcomp.evaluation.columns import higher_is_better
from diffcomp.evaluation.protocols import Protocol
from diffcomp.evaluation.rate_comparison import Curves, Interval, RateComparison, compare_rates
from diffcomp.evaluation.row_file import TIMES
from diffcomp.evaluation.rows import Key, Row, quality_text, row_key

MEANS = ("bytes", "bpp")


@dataclasses.dataclass(frozen=True)
class Point:
    """A codec at one quality: a row of the summary, a point of a curve."""

    codec: str
    quality: str
    images: int
    means: dict[str, float | None]  # by column; None if no image has a value
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Summary:
    """All that the outputs show, but pictures."""

    protocol: Protocol
    columns: tuple[str, ...]  # of `Point.means`
    points: tuple[Point, ...]
    rates: tuple[RateComparison, ...]
    definitions: dict[str, str]
    candidates: dict[str, str]  # name -> settings
    tuned: tuple[str, ...]  # candidates that were tuned on pictures of this protocol
    notes: tuple[str, ...]
    class_rates: tuple[tuple[str, RateComparison], ...] = ()  # of each class of pictures

    def warnings(self) -> list[str]:
        """What keeps a figure from being one, before all other notes."""
        return [
            f"{codec} was tuned on pictures of {self.protocol.name}: its figures here do not count"
            for codec in self.tuned
        ]

    def marked(self, codec: str) -> str:
        """A codec's name, with a mark if its figures do not count."""
        return f"{codec} (tuned on these)" if codec in self.tuned else codec

    def curve(self, codec: str, column: str) -> list[tuple[float, float]]:
        """(bits per pixel, mean) of a codec's points that have the column, by rate."""
        found = [p.means for p in self.points if p.codec == codec]
        return sorted((m["bpp"], m[column]) for m in found if m.get(column) is not None)


def mean_point(codec: str, quality: str, rows: Sequence[Row], columns: Sequence[str]) -> Point:
    """Each image weighs the same. Infinite and missing values are left out, and that is noted."""
    figures = [row.figures() for row in rows]
    means, notes = {}, []
    for column in columns:
        values = np.array([each[column] for each in figures if each[column] is not None])
        finite = values[np.isfinite(values)]
        means[column] = float(finite.mean()) if len(finite) else None
        for count, what in ((len(rows) - len(values), "missing"), (len(values) - len(finite), "∞")):
            # Why there are no times is said once, not for each point.
            if count and column not in TIMES:
                notes.append(f"{column}: {count} of {len(rows)} images {what}, left out")
    return Point(codec, quality, len(rows), means, tuple(notes))


def summarize(
    rows: Mapping[Key, Row],
    qualities: Mapping[str, Sequence[float | None]],
    judged: Mapping[str, Sequence[str]],
    sets: Mapping[tuple[str, str], Mapping[str, float]],
) -> list[Point]:
    """The points of the codecs in `qualities`, in their order, with the metrics that judge each.

    `sets` has the distances of whole sets by (codec, quality).
    """
    points = []
    for codec, ladder in qualities.items():
        columns = (*MEANS, *judged[codec], *TIMES)
        for quality in map(quality_text, ladder):
            chosen = [row for (_, *key), row in rows.items() if key == [codec, quality]]
            if chosen:
                point = mean_point(codec, quality, chosen, columns)
                extra = sets.get((codec, quality), {})
                points.append(dataclasses.replace(point, means=point.means | extra))
    return points


def compare_codecs(
    rows: Mapping[Key, Row],
    qualities: Mapping[str, Sequence[float | None]],
    judged: Mapping[str, Sequence[str]],
    anchors: Mapping[str, str],
) -> list[RateComparison]:
    """Each codec in `qualities` against the anchor of each metric, by the metrics of the images.

    Args:
      rows: of the images that count.
      qualities: of each codec.
      judged: the metrics that count for each codec.
      anchors: metric -> codec.
    """
    comparisons = []
    for name, anchor in anchors.items():
        curves = {codec: _curves(rows, codec, qualities[codec], name) for codec in qualities}
        better = higher_is_better(name)
        comparisons += [
            compare_rates(name, (codec, anchor), curves[anchor], curves[codec], better)
            for codec in qualities
            if codec != anchor and name in judged[codec]
        ]
    return comparisons


def compare_classes(
    classes: Mapping[str, str],
    rows: Mapping[Key, Row],
    qualities: Mapping[str, Sequence[float | None]],
    judged: Mapping[str, Sequence[str]],
    anchors: Mapping[str, str],
) -> list[tuple[str, RateComparison]]:
    """(class, comparison) as `compare_codecs` has them, of the pictures of each class alone.

    None of fewer than two classes. `classes` has those of pictures by name.
    """
    names = sorted({classes[image] for image, _, _ in rows if image in classes})
    found = []
    for name in names if len(names) > 1 else ():
        chosen = {key: row for key, row in rows.items() if classes.get(key[0]) == name}
        found += [(name, rate) for rate in compare_codecs(chosen, qualities, judged, anchors)]
    return found


def _curves(
    rows: Mapping[Key, Row], codec: str, ladder: Sequence[float | None], name: str
) -> Curves:
    curves = {}
    for image in dict.fromkeys(image for image, _, _ in rows):
        found = [rows.get(row_key(image, codec, quality)) for quality in ladder]
        values = [(row.bpp, row.metrics.get(name)) if row else (None, None) for row in found]
        bpp, metric = np.array(values, np.float64).T  # None becomes NaN
        curves[image] = (bpp, metric)
    return curves


def compare_by_sets(points: Sequence[Point], anchors: Mapping[str, str]) -> list[RateComparison]:
    """Each codec against the anchor of each distance of sets, which no single image has."""
    comparisons = []
    for name, anchor in anchors.items():
        curves: dict[str, list[tuple[float, float]]] = {point.codec: [] for point in points}
        for point in points:
            bpp, value = point.means["bpp"], point.means.get(name)
            if bpp is not None and value is not None:
                curves[point.codec].append((bpp, value))
        images = max((point.images for point in points), default=0)
        reason = Interval(None, None, "a distance of sets has no value per picture")
        for codec in curves:
            if codec != anchor:
                rate = bd_rate(curves.get(anchor, []), curves[codec], higher_is_better(name))
                comparisons.append(
                    RateComparison(name, codec, anchor, rate, reason, images, images, ())
                )
    return comparisons


def check_complete(points: Sequence[Point], expected: int) -> list[str]:
    """A sentence for each point that lacks images, of which another has `expected`."""
    return [
        f"{p.codec} at quality {p.quality or 'of its own'} has {p.images} of {expected} images"
        for p in points
        if p.images < expected
    ]
