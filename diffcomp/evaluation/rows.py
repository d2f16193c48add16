"""What is known of one image, codec and quality: a row, or why there is none."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Self

Key = tuple[str, str, str]  # see `row_key`

# How many digits of a figure are written.
_BPP, _SECONDS, _METRIC = ".6f", ".4f", ".8g"


def quality_text(quality: float | None) -> str:
    """A quality as the rows spell it; empty for a codec of a single rate."""
    return "" if quality is None else f"{quality:g}"


def row_key(image: str, codec: str, quality: float | None) -> Key:
    """By which a row is found: qualities that are spelled alike are one."""
    return image, codec, quality_text(quality)


def _number(text: str) -> float | None:
    return float(text) if text else None


def _text(value: float | None, digits: str) -> str:
    return "" if value is None else format(value, digits)


@dataclasses.dataclass(frozen=True)
class Row:
    """The figures of one image, codec and quality."""

    image: str
    codec: str
    settings: str  # of the codec, see `Candidate.settings`
    quality: float | None  # None: of a codec of a single rate
    width: int  # pixels
    height: int
    bytes: int  # of the whole file
    bpp: float
    encode_seconds: float | None  # None: of a row that an earlier evaluation measured
    decode_seconds: float | None
    pixels_crc: str  # of the original, see `NamedImage.crc`
    metrics: Mapping[str, float | None]  # by name; None of one that failed

    @property
    def key(self) -> Key:
        return row_key(self.image, self.codec, self.quality)

    @property
    def is_kept(self) -> bool:
        """Whether an earlier evaluation measured it: see `row_cache`."""
        return self.encode_seconds is None

    def figures(self) -> dict[str, float | None]:
        """All numbers but the quality by column, in the order of the file."""
        return {
            "width": float(self.width),
            "height": float(self.height),
            "bytes": float(self.bytes),
            "bpp": self.bpp,
            **self.metrics,
            "encode_seconds": self.encode_seconds,
            "decode_seconds": self.decode_seconds,
        }

    def cells(self) -> dict[str, str]:
        """The row's texts by column; empty for a metric without a value."""
        metrics = {name: _text(value, _METRIC) for name, value in self.metrics.items()}
        return metrics | {
            "image": self.image,
            "codec": self.codec,
            "settings": self.settings,
            "quality": quality_text(self.quality),
            "width": str(self.width),
            "height": str(self.height),
            "bytes": str(self.bytes),
            "bpp": format(self.bpp, _BPP),
            "encode_seconds": _text(self.encode_seconds, _SECONDS),
            "decode_seconds": _text(self.decode_seconds, _SECONDS),
            "pixels_crc": self.pixels_crc,
        }

    @classmethod
    def from_cells(cls, cells: Mapping[str, str], metrics: Sequence[str]) -> Self:
        """The row of `cells`, in which `metrics` are columns; ValueError if a text is no number."""
        return cls(
            image=cells["image"],
            codec=cells["codec"],
            settings=cells["settings"],
            quality=_number(cells["quality"]),
            width=int(cells["width"]),
            height=int(cells["height"]),
            bytes=int(cells["bytes"]),
            bpp=float(cells["bpp"]),
            encode_seconds=_number(cells["encode_seconds"]),
            decode_seconds=_number(cells["decode_seconds"]),
            pixels_crc=cells["pixels_crc"],
            metrics={name: _number(cells[name]) for name in metrics},
        )

    def as_written(self) -> Self:
        """The row with the digits that are written, as a later run will read it.

        A resumed run has some rows from the file and makes others. Only if both are rounded alike
        is its summary, to the byte, that of a run without an interrupt.
        """
        return self.from_cells(self.cells(), tuple(self.metrics))


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a metric of a row is missing or, of the steps encode, decode and write, all of it."""

    image: str
    codec: str
    quality: float | None
    step: str  # or a metric's name
    reason: str  # a single line

    @property
    def key(self) -> Key:
        return row_key(self.image, self.codec, self.quality)

    def cells(self) -> dict[str, str]:
        """The failure's texts by column."""
        return dataclasses.asdict(self) | {"quality": quality_text(self.quality)}

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> Self:
        """The failure of `cells`; ValueError if the quality is no number."""
        return cls(**{**cells, "quality": _number(cells["quality"])})
