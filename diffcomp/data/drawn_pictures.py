"""Drawn pictures for training: flats, ramps, text, lines, checkers and stars.

Photographs hold next to none of these, and a codec trained on them alone spends bits on flat black
and loses letters. Two or three crops in a hundred are enough: what people compress is mostly
photographs. The pictures of `evaluation/failure_pictures.py`, by which models are judged, are
drawn by other rules and are not among these.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 512
_LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?()+-=/ ")

Colour = tuple[int, int, int]


def drawn_picture(rng: np.random.Generator) -> np.ndarray:
    """One picture of a kind that `rng` chooses, uint8 [512, 512, 3]."""
    kinds = list(_KINDS)
    return _KINDS[kinds[rng.integers(len(kinds))]](rng)


def _colour(rng: np.random.Generator) -> Colour:
    """Black and white each in a fifth of the cases, greys in another, any colour otherwise."""
    chance = rng.uniform()
    if chance < 0.4:
        return (0, 0, 0) if chance < 0.2 else (255, 255, 255)
    values = rng.integers(0, 256, 1 if chance < 0.6 else 3)
    red, green, blue = np.broadcast_to(values, 3).tolist()
    return red, green, blue


def _two_colours(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Two that can be told apart."""
    first = second = _colour(rng)
    while sum(abs(a - b) for a, b in zip(first, second, strict=True)) < 60:
        second = _colour(rng)
    return first, second


def _canvas(colour: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (SIDE, SIDE), colour)
    return image, ImageDraw.Draw(image)


def _flats(rng: np.random.Generator) -> np.ndarray:
    """One colour, or rectangles of several one above the other."""
    image, draw = _canvas(_colour(rng))
    for _ in range(rng.choice((0, 0, 3, 20))):
        left, top = rng.integers(-64, SIDE, 2).tolist()
        width, height = rng.integers(8, 300, 2).tolist()
        draw.rectangle((left, top, left + width, top + height), _colour(rng))
    return np.array(image)


def _ramp(rng: np.random.Generator) -> np.ndarray:
    """From one colour to another, in any direction."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.indices((SIDE, SIDE)) / (SIDE - 1) - 0.5
    along = np.clip(0.5 + np.cos(angle) * rows + np.sin(angle) * columns, 0, 1)[..., None]
    first, second = (np.array(colour) for colour in _two_colours(rng))
    return np.rint(first + along * (second - first)).astype(np.uint8)


def _text(rng: np.random.Generator) -> np.ndarray:
    """Lines of letters of one size, 10 to 48 pixels."""
    paper, ink = _two_colours(rng)
    image, draw = _canvas(paper)
    size = round(float(np.exp(rng.uniform(np.log(10), np.log(48)))))
    font = ImageFont.load_default(size)
    left = int(rng.integers(0, 64))
    for top in range(int(rng.integers(0, 32)), SIDE, round(size * rng.uniform(1.2, 2))):
        letters = "".join(rng.choice(_LETTERS, rng.integers(3, 2 * SIDE // size)))
        draw.text((left, top), letters, fill=ink, font=font)
    return np.array(image)


def _lines(rng: np.random.Generator) -> np.ndarray:
    """Straight lines, circles and a grid, 1 to 4 pixels wide."""
    paper, ink = _two_colours(rng)
    image, draw = _canvas(paper)
    width = int(rng.integers(1, 5))
    for _ in range(rng.integers(4, 40)):
        x0, y0, x1, y1 = rng.integers(0, SIDE, 4).tolist()
        if rng.uniform() < 0.5:
            draw.line((x0, y0, x1, y1), ink, width)
        else:
            draw.ellipse((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), None, ink, width)
    for place in range(0, SIDE, int(rng.integers(24, 128))):
        draw.line((place, 0, place, SIDE), ink, width)
        draw.line((0, place, SIDE, place), ink, width)
    return np.array(image)


def _checkers(rng: np.random.Generator) -> np.ndarray:
    """Rectangles of 4 to 64 pixels a side in two colours, as on a chessboard."""
    height, width = rng.integers(4, 65, 2)
    rows, columns = np.indices((SIDE, SIDE)) + rng.integers(0, 64, (2, 1, 1))
    colours = np.array(_two_colours(rng), np.uint8)
    return colours[(rows // height + columns // width) % 2]


def _stars(rng: np.random.Generator) -> np.ndarray:
    """Bright points of 1 to 3 pixels on a dark sky."""
    sky = rng.integers(0, 32, 3).astype(np.uint8)
    picture = np.tile(sky, (SIDE, SIDE, 1))
    for row, column in rng.integers(0, SIDE, (rng.integers(50, 1500), 2)):
        size = rng.integers(1, 4)
        picture[row : row + size, column : column + size] = rng.integers(60, 256)
    return picture


_KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "flats": _flats,
    "ramp": _ramp,
    "text": _text,
    "lines": _lines,
    "checkers": _checkers,
    "stars": _stars,
}
