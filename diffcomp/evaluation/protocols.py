"""How the images of a data set are prepared before they are measured.

The sizes are those of Yang and Mandt (NeurIPS 2023), section 4; the figures of one protocol compare
with no other's, so its name stands in every output. The paper does not say how it resized: here it
is Pillow's Lanczos filter, antialiased, on 8-bit sRGB values.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image

from diffcomp.evaluation.failure_pictures import failure_pictures

FILTER = Image.Resampling.LANCZOS
FILTER_TEXT = "Pillow's Lanczos filter, antialiased, on 8-bit sRGB values"


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A data set's name, what is done with its images, and where to get them."""

    name: str
    description: str
    prepare: Callable[[np.ndarray], np.ndarray | None]  # uint8 [H, W, 3]; None leaves it out
    images: int | None  # of the whole set after `prepare`; None if any number will do
    source: str = ""  # of TensorFlow Datasets, tfds:NAME/SPLIT; none if empty
    where: str = ""  # to get the images
    drawn: Callable[[], dict[str, np.ndarray]] | None = None  # by name, instead of files


def _as_is(image: np.ndarray) -> np.ndarray:
    return image


def _resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), FILTER))


def _tecnick(image: np.ndarray) -> np.ndarray:
    return _resize(image, 512, 512)


def _div2k(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = 768 / min(height, width)
    image = _resize(image, round(scale * width), round(scale * height))
    top, left = (image.shape[0] - 768) // 2, (image.shape[1] - 768) // 2
    return np.ascontiguousarray(image[top : top + 768, left : left + 768])


def _coco(image: np.ndarray) -> np.ndarray | None:
    return _resize(image, 384, 384) if min(image.shape[:2]) > 512 else None


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("none", "images as they are", _as_is, None),
        Protocol(
            "kodak",
            "the 24 Kodak images as they are, 768x512 or 512x768",
            _as_is,
            24,
            where="kodim01.png to kodim24.png from https://r0k.us/graphics/kodak",
        ),
        Protocol(
            "tecnick",
            f"100 Tecnick images, 1200x1200, resized to 512x512 ({FILTER_TEXT})",
            _tecnick,
            100,
            where="RGB_OR_1200x1200 of https://testimages.org",
        ),
        Protocol(
            "div2k",
            "100 DIV2K validation images, shorter side resized to 768, centre crop of 768x768 "
            f"({FILTER_TEXT})",
            _div2k,
            100,
            source="tfds:div2k/validation",
            where="DIV2K_valid_HR of https://data.vision.ee.ethz.ch/cvl/DIV2K",
        ),
        Protocol(
            "coco",
            "the COCO 2017 images with both sides over 512, resized to 384x384 without keeping "
            f"their shape ({FILTER_TEXT})",
            _coco,
            None,
            source="tfds:coco/2017/validation",
            where="https://cocodataset.org/#download",
        ),
        Protocol(
            "clic",
            "CLIC images as they are",
            _as_is,
            None,
            source="tfds:clic/test",
            where="https://clic.compression.cc",
        ),
        Protocol(
            "clic2025",
            "CLIC 2025 images as they are",
            _as_is,
            None,
            where="https://clic.compression.cc",
        ),
        Protocol(
            "cid22",
            "CID22 originals as they are, 512x512",
            _as_is,
            None,
            where="https://cloudinary.com/labs/cid22",
        ),
        Protocol("gb82", "GB82 photographs as they are", _as_is, None),
        Protocol(
            "failures",
            "drawn pictures of 512x512 that codecs fail on: checkers, line art, text, stars, flat "
            "colours, gradients, red on blue, noise",
            _as_is,
            None,
            drawn=failure_pictures,
        ),
    )
}


def get_protocol(name: str) -> Protocol:
    """The protocol `name`; raises ValueError naming all for another."""
    if name not in PROTOCOLS:
        raise ValueError(f"protocol is {name!r}; it must be one of: {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
