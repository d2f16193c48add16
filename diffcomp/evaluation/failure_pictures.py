"""Pictures that codecs fail on, drawn: what a mean over photographs does not show.

Each is seeded and 512x512, so that every machine measures the same pixels; text is in the font that
comes with Pillow.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 512
SEED = 0
_WORDS = "Sphinx of black quartz, judge my vow. 0123456789 The quick brown fox; (a+b)=c? "


def failure_pictures() -> dict[str, np.ndarray]:
    """The pictures by name, each uint8 [512, 512, 3]."""
    return {name: draw() for name, draw in _PICTURES.items()}


def _gray(plane: np.ndarray) -> np.ndarray:
    """Values in [0, 255], [H, W], as a colour picture."""
    values = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return np.repeat(values[..., None], 3, axis=-1)


def _checkers(pixels: int) -> np.ndarray:
    rows, columns = np.indices((SIDE, SIDE)) // pixels
    return _gray(255.0 * ((rows + columns) % 2))


def _line_art() -> np.ndarray:
    """Circles, a fan of lines and a grid, one pixel wide, black on white, not antialiased."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(image)
    for radius in range(8, 240, 8):
        draw.ellipse((256 - radius, 256 - radius, 256 + radius, 256 + radius), outline="black")
    for step in range(0, SIDE, 32):
        draw.line((0, 0, step, SIDE - 1), fill="black")
        draw.line((256, step, SIDE - 1, step), fill="black")
    return np.array(image)


def _text(size: int) -> np.ndarray:
    """Lines of black text on white, their letters `size` pixels high."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for number, top in enumerate(range(4, SIDE - size, round(1.3 * size))):
        shift = 7 * number % len(_WORDS)
        draw.text((4, top), 3 * (_WORDS[shift:] + _WORDS[:shift]), fill="black", font=font)
    return np.array(image)


def _stars() -> np.ndarray:
    """Single bright pixels on a dark sky."""
    key = np.random.default_rng(SEED)
    sky = np.full((SIDE, SIDE), 8.0)
    sky[tuple(key.integers(0, SIDE, (2, 600)))] = key.uniform(60, 255, 600)
    return _gray(sky)


def _flat_colours() -> np.ndarray:
    """Squares of 64x64 pixels, each of one colour."""
    colours = np.random.default_rng(SEED).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return colours.repeat(64, axis=0).repeat(64, axis=1)


def _gradients() -> np.ndarray:
    """A slow ramp of two colours, in which steps of one level show, above one of greys."""
    across = np.linspace(0, 1, SIDE)[None, :, None]
    top = np.array([40, 90, 160]) + across * np.array([50, 60, 40])
    bottom = 60 + 40 * across * np.ones(3)
    halves = [np.broadcast_to(half, (SIDE // 2, SIDE, 3)) for half in (top, bottom)]
    return np.rint(np.concatenate(halves)).astype(np.uint8)


def _red_on_blue() -> np.ndarray:
    """Saturated red bars and letters on saturated blue: what halved chroma smears."""
    image = Image.new("RGB", (SIDE, SIDE), (0, 0, 255))
    draw = ImageDraw.Draw(image)
    for index, width in enumerate((1, 2, 3, 5, 8, 13, 21, 34)):
        for left in range(0, 480, 2 * width):
            draw.rectangle((16 + left, 32 * index, 15 + left + width, 32 * index + 25), (255, 0, 0))
    for number, size in enumerate((12, 24, 48, 72)):
        font = ImageFont.load_default(size)
        draw.text((16, 262 + 16 * number + size), _WORDS, fill=(255, 0, 0), font=font)
    return np.array(image)


def _noise(deviation: float) -> np.ndarray:
    key = np.random.default_rng(SEED)
    return _gray(128 + deviation * key.standard_normal((SIDE, SIDE)))


_PICTURES: dict[str, Callable[[], np.ndarray]] = {
    "checkers_1": lambda: _checkers(1),
    "checkers_8": lambda: _checkers(8),
    "line_art": _line_art,
    "text_12": lambda: _text(12),
    "text_24": lambda: _text(24),
    "stars": _stars,
    "flat_colours": _flat_colours,
    "gradients": _gradients,
    "red_on_blue": _red_on_blue,
    "noise": lambda: _noise(20),
}
