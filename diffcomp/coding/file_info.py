"""What a `.dfc` file says of itself, without a model."""

import dataclasses

from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import BitstreamError, Container
from diffcomp.coding.quality import CODES, ONE_RATE_CODE, code_to_quality


@dataclasses.dataclass(frozen=True)
class FileInfo:
    """The header of a file and the size of its parts."""

    width: int  # pixels
    height: int
    quality: float | None  # None if the model has one rate
    fingerprint: int  # of the coding part that reads it
    header_bits: int
    z_bits: int
    y_bits: int
    flat_bits: int = 0  # areas of one colour
    metadata_bits: int = 0  # EXIF and XMP, compressed

    @property
    def bpp(self) -> float:
        """Bits of the whole file per pixel."""
        latents = self.header_bits + self.z_bits + self.y_bits
        return (latents + self.flat_bits + self.metadata_bits) / (self.width * self.height)


def file_info(data: bytes, max_pixels: int = bitstream.MAX_PIXELS) -> FileInfo:
    """What a file holds, decoding nothing; raises BitstreamError if it is not intact, or too large.

    Raises ValueError for a `max_pixels` that `bitstream.check_max_pixels` refuses.
    """
    return describe(bitstream.unpack(data, max_pixels))


def describe(container: Container) -> FileInfo:
    """The same, once unpacked; raises BitstreamError for a quality that does not exist."""
    code = container.quality_code
    if code >= CODES and code != ONE_RATE_CODE:
        raise BitstreamError(
            f"the header has quality code {code}; the highest is {CODES - 1}, or {ONE_RATE_CODE}"
            " for a model of one rate."
        )
    return FileInfo(
        width=container.width,
        height=container.height,
        quality=None if code == ONE_RATE_CODE else code_to_quality(code),
        fingerprint=container.fingerprint,
        header_bits=8 * container.header_bytes,
        z_bits=8 * len(container.z_stream),
        y_bits=8 * len(container.y_stream),
        flat_bits=8 * len(container.flat_areas),
        metadata_bits=8 * len(container.metadata),
    )
