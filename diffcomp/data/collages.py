"""Graphics for training: collages of clip art, labels and plots, as diagrams and slides have them.

Clip art comes as SVG files of the caller's; `rsvg-convert` (librsvg) draws them. Drawn larger than
they are wanted, pictures are reduced, so that edges are smooth as those of graphics on the web.
"""

import io
import itertools
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

SIDE = 768
_FINER = 2  # a collage is drawn this many times as large
_PROGRAM = "rsvg-convert"
_LARGEST = 400_000  # bytes of a file: larger ones take seconds to draw
_LONGEST = 10.0  # seconds for one file of clip art
_LETTERS = list("abcdefghijklmnopqrstuvwxyz")
_OFTEN, _RARELY = 0.7, 0.3

Colour = tuple[int, int, int]
Groups = Sequence[Sequence[Path]]  # of files; all groups are chosen alike often


def check_program() -> None:
    """Raises ValueError if there is no `rsvg-convert`."""
    if shutil.which(_PROGRAM) is None:
        raise ValueError(f"clip art is drawn by {_PROGRAM}, which is not installed (librsvg).")


def files_by_folder(folder: Path, suffix: str) -> list[list[Path]]:
    """The files of a suffix below a folder, sorted, those of each sub-folder by themselves.

    Raises ValueError if there are none.
    """
    found = [path for path in folder.rglob(f"*{suffix}") if path.is_file()]
    found = sorted((path.parent, path) for path in found if path.stat().st_size <= _LARGEST)
    if not found:
        raise ValueError(f"{folder} holds no {suffix} file.")
    groups = itertools.groupby(found, lambda pair: pair[0])
    return [[path for _, path in group] for _, group in groups]


def collage(rng: np.random.Generator, art: Groups, fonts: Groups = ()) -> np.ndarray:
    """One picture of what `rng` chooses among the files, uint8 [768, 768, 3].

    art: SVG files; those that are not drawn within ten seconds are passed over, which on a busy
    machine may be more of them. fonts: TrueType files for labels; Pillow's own if there are none.
    """
    side = SIDE * _FINER
    canvas = _paper(rng, side)
    if rng.uniform() < _RARELY:
        _plot(rng, canvas, fonts)
    for _ in range(int(rng.integers(4, 16))):
        _paste(rng, canvas, _one(rng, art))
    for _ in range(int(rng.integers(0, 25)) if rng.uniform() < _OFTEN else 0):
        _label(rng, canvas, fonts)
    return np.array(canvas.reduce(_FINER))


def _one(rng: np.random.Generator, groups: Groups) -> Path:
    group = groups[rng.integers(len(groups))]
    return group[rng.integers(len(group))]


def _colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> Colour:
    red, green, blue = rng.integers(low, high, 3).tolist()
    return red, green, blue


def _paper(rng: np.random.Generator, side: int) -> Image.Image:
    """White in half of the cases, else one colour or a ramp of two."""
    kind = rng.uniform()
    if kind < 0.5:
        return Image.new("RGB", (side, side), "white")
    first = _colour(rng)
    if kind < 0.75:
        return Image.new("RGB", (side, side), first)
    along = np.linspace(0, 1, side)[:, None]
    ramp = (1 - along) * np.array(first) + along * np.array(_colour(rng))
    pixels = np.broadcast_to(ramp[:, None], (side, side, 3)).round().astype(np.uint8)
    return Image.fromarray(pixels if rng.uniform() < 0.5 else pixels.swapaxes(0, 1).copy())


def _paste(rng: np.random.Generator, canvas: Image.Image, file: Path) -> None:
    """Draws one file, of 80 to 700 pixels' width, wherever part of it is to be seen."""
    width = round(float(np.exp(rng.uniform(np.log(80), np.log(700))))) * _FINER
    drawn = _drawn(file, width)
    if drawn is None:
        return
    if rng.uniform() < _RARELY:
        drawn = drawn.rotate(rng.uniform(-45, 45), Image.Resampling.BICUBIC, expand=True)
    left = int(rng.integers(-drawn.width // 3, canvas.width - drawn.width // 2))
    top = int(rng.integers(-drawn.height // 3, max(canvas.height - drawn.height // 2, 1)))
    canvas.paste(drawn, (left, top), drawn)


def _drawn(file: Path, width: int) -> Image.Image | None:
    """A file of clip art at most `width` pixels wide and high, with its transparency."""
    size = f"--width={width}", f"--height={width}", "--keep-aspect-ratio"
    command = [_PROGRAM, *size, str(file)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LONGEST, check=True)
        return Image.open(io.BytesIO(done.stdout)).convert("RGBA")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, UnidentifiedImageError):
        return None


def _font(rng: np.random.Generator, fonts: Groups, size: int) -> ImageFont.FreeTypeFont:
    if not fonts:
        return ImageFont.load_default(size)
    return ImageFont.truetype(str(_one(rng, fonts)), size)


def _words(rng: np.random.Generator, most: int) -> str:
    words = ["".join(rng.choice(_LETTERS, rng.integers(1, 10))) for _ in range(rng.integers(most))]
    words.append(str(rng.integers(0, 1000)) if rng.uniform() < _RARELY else "".join(words[:1]))
    text = " ".join(words)
    return text.capitalize() if rng.uniform() < 0.5 else text


def _label(rng: np.random.Generator, canvas: Image.Image, fonts: Groups) -> None:
    """A few words of 10 to 40 pixels' height, mostly black, on a plate in one of four cases."""
    size = round(float(np.exp(rng.uniform(np.log(10), np.log(40))))) * _FINER
    at = tuple(rng.integers(0, canvas.width - size, 2).tolist())
    draw, font, text = ImageDraw.Draw(canvas), _font(rng, fonts, size), _words(rng, 4)
    if rng.uniform() < 0.25:
        draw.rectangle(draw.textbbox(at, text, font), _colour(rng, 128))
    draw.text(at, text, (0, 0, 0) if rng.uniform() < _OFTEN else _colour(rng), font)


def _plot(rng: np.random.Generator, canvas: Image.Image, fonts: Groups) -> None:
    """Axes with ticks, dotted lines and one to four curves."""
    draw = ImageDraw.Draw(canvas)
    left, top = rng.integers(20, canvas.width // 3, 2).tolist()
    right, bottom = rng.integers(canvas.width // 2, canvas.width - 20, 2).tolist()
    draw.rectangle((left, top, right, bottom), "white", "black", int(rng.integers(1, 4)))
    font, ticks = _font(rng, fonts, int(rng.integers(11, 20)) * _FINER), int(rng.integers(3, 9))
    for place in np.linspace(left, right, ticks).round().tolist():
        draw.text((place, bottom + 8), f"{rng.uniform(0, 10):.1f}", "black", font, "ma")
        for dot in range(top, bottom, 10):
            draw.line((place, dot, place, dot + 3), "gray")
    for place in np.linspace(top, bottom, ticks).round().tolist():
        draw.text((left - 8, place), f"{rng.uniform(0, 10):.1f}", "black", font, "rm")
        for dot in range(left, right, 10):
            draw.line((dot, place, dot + 3, place), "gray")
    along = np.linspace(0, 1, 200)
    for _ in range(int(rng.integers(1, 5))):
        waves = rng.uniform(0, 40, (2, 1)), rng.uniform(0, 7, (2, 1))
        height = np.cumsum(np.sin(waves[0] * along + waves[1]), axis=0)[-1] / 4 + 0.5
        points = np.stack([left + along * (right - left), top + height * (bottom - top)], -1)
        colour = _colour(rng, 0, 200)
        draw.line([tuple(point) for point in points.tolist()], colour, int(rng.integers(1, 8)))
