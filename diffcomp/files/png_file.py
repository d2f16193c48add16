"""A PNG file in two parts: the chunks that make its pixels, for Pillow, and what the others say.

Pillow refuses a picture for long text beside it, and does not know cICP.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from diffcomp.coding.metadata import inflate
from diffcomp.files import rgb_space
from diffcomp.files.color_codes import coded_space
from diffcomp.files.image_error import ImageError
from diffcomp.files.rgb_space import SRGB, RgbSpace

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST_EXTRA = 2**24  # bytes of a profile, of EXIF or of XMP

# Ancillary chunks that Pillow needs for the pixels and to count the frames.
_OF_PIXELS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
_OF_COLOR = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP = b"XML:com.adobe.xmp"
_GAMMA_OF_SRGB = 0.45455
_GAMMA_TOLERANCE = 0.0005


@dataclass
class PngFile:
    """What a PNG file holds."""

    pixels: BinaryIO  # a PNG file of nothing but the pixels
    colors: tuple[bytes | RgbSpace, ...] = ()  # ICC profile or space, the strongest first
    key: tuple[int, ...] = ()  # the transparent grey or colour, at the depth of the file
    exif: bytes | None = None
    xmp: bytes | None = None


@dataclass
class _Chunks:
    pixels: list[bytes] = field(default_factory=lambda: [SIGNATURE])
    extra: dict[bytes, bytes] = field(default_factory=dict)  # the first of each kind
    texts: list[tuple[bytes, bytes]] = field(default_factory=list)


def read_png(data: bytes, notes: list[str]) -> PngFile:
    """Raises ImageError for PQ, HLG and samples of narrow range; damaged extras are noted."""
    chunks = _sort(data, notes)
    transparent = chunks.extra.get(b"tRNS", b"")
    png = PngFile(
        io.BytesIO(b"".join(chunks.pixels)),
        tuple(_colors(chunks.extra, notes)),
        struct.unpack(f">{len(transparent) // 2}H", transparent[: len(transparent) // 2 * 2]),
        chunks.extra.get(b"eXIf"),
    )
    for kind, body in chunks.texts:
        _read_text(png, kind, body, notes)
    return png


def _sort(data: bytes, notes: list[str]) -> _Chunks:
    chunks, at, before_pixels = _Chunks(), len(SIGNATURE), True
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        before_pixels &= kind != b"IDAT"
        if not kind[0] & 32 or kind in _OF_PIXELS:
            chunks.pixels.append(data[at:end])
        if kind in (*_TEXTS, b"eXIf", b"tRNS") or (kind in _OF_COLOR and before_pixels):
            body = data[at + 8 : end - 4]
            if zlib.crc32(data[at + 4 : end - 4]).to_bytes(4, "big") != data[end - 4 : end]:
                notes.append(f"damaged {kind.decode()} ignored")
            elif kind in _TEXTS:
                chunks.texts.append((kind, body))
            else:
                chunks.extra.setdefault(kind, body)
        at = end
        if kind == b"IEND":
            return chunks
    chunks.pixels.append(data[at:])
    return chunks


def _colors(extra: dict[bytes, bytes], notes: list[str]) -> Iterator[bytes | RgbSpace]:
    """By the precedence of PNG, third edition, section 4.3: cICP, iCCP, sRGB, cHRM and gAMA."""
    if len(extra.get(b"cICP", b"")) == 4:
        primaries, transfer, matrix, full_range = extra[b"cICP"]
        space = coded_space(primaries, transfer, "cICP", notes)
        if not full_range:
            raise ImageError("has samples of narrow range by its cICP; only full range is read")
        if matrix:
            notes.append(f"cICP ignored: it has matrix coefficients {matrix}, which must be 0")
        elif space:
            yield space
    if b"iCCP" in extra:
        _, _, compressed = extra[b"iCCP"].partition(b"\0")
        profile = _bounded(compressed[1:], "ICC profile", notes)
        if profile:
            yield profile
    if b"sRGB" in extra:
        yield SRGB
    space = _calibrated_space(extra, notes)
    if space:
        yield space


def _calibrated_space(extra: dict[bytes, bytes], notes: list[str]) -> RgbSpace | None:
    """By gAMA and cHRM; what one of them leaves open is as in sRGB.

    A gamma of 1/2.2 with sRGB's primaries is how programs said sRGB before it had a chunk.
    """
    gamma, place, like_srgb = 0.0, (), SRGB
    if len(extra.get(b"gAMA", b"")) == 4:
        gamma = int.from_bytes(extra[b"gAMA"], "big") / 100000
    if len(extra.get(b"cHRM", b"")) == 32:
        x_y = [value / 100000 for value in struct.unpack(">8I", extra[b"cHRM"])]
        place = tuple(zip(x_y[::2], x_y[1::2], strict=True))
        try:
            like_srgb = rgb_space.rgb_space(
                "primaries of cHRM", rgb_space.srgb_decode, place[1:], place[0]
            )
        except ValueError:
            notes.append("cHRM ignored: it spans no colours")
            place = ()
    usual = abs(gamma - _GAMMA_OF_SRGB) <= _GAMMA_TOLERANCE and like_srgb.is_srgb()
    if not gamma or usual:
        return like_srgb if place else None
    name = f"gamma {gamma:g} of gAMA"
    name = f"{like_srgb.name} and {name}" if place else name
    return RgbSpace(name, like_srgb.to_xyz, (rgb_space.power(1 / gamma),) * 3)


def _read_text(png: PngFile, kind: bytes, body: bytes, notes: list[str]) -> None:
    """Takes XMP, and EXIF as ImageMagick wrote it before there was a chunk for it."""
    keyword, _, rest = body.partition(b"\0")
    if keyword == _XMP and kind == b"iTXt" and len(rest) >= 2:
        text = rest[2:].split(b"\0", 2)[-1]  # after the language and the translated keyword
        png.xmp = _bounded(text, "XMP", notes) if rest[0] else _checked(text, "XMP", notes)
    elif keyword in (b"Raw profile type exif", b"Raw profile type APP1") and not png.exif:
        text = _bounded(rest[1:], "EXIF", notes) if kind == b"zTXt" else rest
        try:
            # An empty line, the name, the length, then hexadecimal digits.
            found = bytes.fromhex((text or b"").decode("latin-1").split("\n", 3)[3])
        except (ValueError, IndexError):
            return
        if found.startswith(b"Exif\0\0"):
            png.exif = found


def _bounded(data: bytes, what: str, notes: list[str]) -> bytes | None:
    """Inflates; what is broken or too long is left out with a note."""
    try:
        return inflate(data, LARGEST_EXTRA)
    except ValueError as error:
        reason = "over 16 MiB" if "more than" in str(error) else "broken"
        notes.append(
            f"{reason} {what} ignored" if reason == "broken" else f"{what} {reason} ignored"
        )
        return None


def _checked(data: bytes, what: str, notes: list[str]) -> bytes | None:
    if len(data) > LARGEST_EXTRA:
        notes.append(f"{what} over 16 MiB ignored")
        return None
    return data
