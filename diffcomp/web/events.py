"""What the page's buttons do: files of a visitor in, a job, files of a visitor out.

An upload is the path at which Gradio has put the bytes, under the visitor's own name for them. No
event opens it as a picture before its limits are known.
"""

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from diffcomp.coding.file_info import file_info
from diffcomp.decode_settings import DecodeSettings
from diffcomp.files.atomic_file import read_bytes
from diffcomp.web import figures, jobs, pictures
from diffcomp.web.figures import Point
from diffcomp.web.pace import Cancelled, JobProgress, Pace
from diffcomp.web.plot import plotted
from diffcomp.web.settings import ServeSettings
from diffcomp.web.visitors import Visitors

if TYPE_CHECKING:
    from diffcomp.codec import Codec

log = logging.getLogger(__name__)

# What a visitor is told as one line; anything else is a fault of the program.
REFUSALS = (ValueError, OSError, ImportError, MemoryError)
STOPPED = figures.said("Stopped.")
NOTHING = "Drop a file first."


@dataclasses.dataclass(frozen=True)
class Shown:
    """The picture that the page shows: what the AVIF beside it is made of."""

    upload: Path
    original: Path
    limit: int  # bytes


class Events:
    """All that the server's visitors share. The methods are Gradio's event handlers."""

    def __init__(self, codec: "Codec", settings: ServeSettings, visitors: Visitors):
        self.codec, self.settings, self.visitors = codec, settings, visitors
        self.pace = Pace()

    def keep_upload(self, upload: str | None, request: gr.Request) -> None:
        """A file has been dropped, or taken away: those before it are removed."""
        self.visitors.drop_uploads(_visitor(request))
        if upload is not None:
            self.visitors.keep_upload(_visitor(request), Path(upload))

    def compress(
        self,
        upload: str | None,
        by_size: bool,
        quality: float,
        kilobytes: float,
        realism: float,
        steps: int,
        gamma: float,
        seed: int,
        shown: Shown | None,
        points: list[Point],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        """An upload -> both pictures, figures, files, what the page shows, points, plot.

        `shown` and `points` are of the page as it is: those of the same picture stay.
        """
        try:
            if upload is None:
                raise ValueError(NOTHING)
            rate = self._rate(by_size, quality, kilobytes)
            decode = self._decode_settings(realism, steps, gamma, seed)
            known = points if shown and shown.upload == Path(upload) else []
            return self._compress(Path(upload), rate, decode, known, _visitor(request), progress)
        except Cancelled:
            return _without_picture(STOPPED)
        except REFUSALS as error:
            return _without_picture(figures.refusal(_reason(error)))

    def _compress(
        self,
        upload: Path,
        rate: jobs.Rate,
        decode: DecodeSettings,
        known: list[Point],
        visitor: str,
        progress: gr.Progress,
    ) -> list[Any]:
        image = jobs.read_picture(self._bytes(upload), self.settings.max_pixels)
        size = image.pixels.shape[:2]
        stages = jobs.stages_of(rate, decode)
        watched = self._progress(visitor, size[0] * size[1], stages, progress)
        coded = jobs.compress_picture(self.codec, image.pixels, rate, decode, watched)
        log.info("%d x %d pixels are coded, %d bytes", size[1], size[0], len(coded.data))
        folder, name = self.visitors.new_folder(visitor, "coded"), pictures.stem(upload)
        original = pictures.write_shown(folder, "original", image.pixels)
        decoded = pictures.write_png(folder / f"{name}.decoded.png", coded.decoded)
        file = folder / f"{name}.dfc"
        file.write_bytes(coded.data)
        model = self.codec.model.name
        points = figures.with_point(known, model, coded.bpp, coded.psnr)
        return [
            (str(original), str(decoded)),
            None,
            figures.coded_lines(coded, model, size, image.notes),
            "",
            gr.DownloadButton(value=str(file), interactive=True),
            gr.DownloadButton(value=str(decoded), interactive=True),
            Shown(upload, original, len(coded.data)),
            points,
            plotted(points),
        ]

    def avif(
        self,
        shown: Shown | None,
        points: list[Point],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        """What the page shows -> original and AVIF of equal bytes, its figures, points, plot."""
        if shown is None:
            return [None, "", points, plotted(points)]
        visitor = _visitor(request)
        try:
            pixels = jobs.read_picture(shown.original.read_bytes(), self.settings.max_pixels).pixels
            count = pixels.shape[0] * pixels.shape[1]
            watched = self._progress(visitor, count, {jobs.AVIF: 1}, progress)
            found = jobs.avif_of(pixels, shown.limit, watched)
        except Cancelled:
            return [None, STOPPED, points, plotted(points)]
        except REFUSALS as error:
            return [None, figures.refusal(_reason(error)), points, plotted(points)]
        lines = figures.avif_lines(found, shown.limit)
        if found is None:
            return [None, lines, points, plotted(points)]
        folder = self.visitors.new_folder(visitor, "avif")
        path = pictures.write_shown(folder, "equal", found.avif.decoded)
        points = figures.with_point(points, "AVIF", found.bpp, found.psnr)
        return [(str(shown.original), str(path)), lines, points, plotted(points)]

    def decode(
        self,
        upload: str | None,
        realism: float,
        steps: int,
        gamma: float,
        seed: int,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        """A `.dfc` file -> its picture, what it says of itself, the picture as a file."""
        try:
            if upload is None:
                raise ValueError(NOTHING)
            decode = self._decode_settings(realism, steps, gamma, seed)
            return self._decode(Path(upload), decode, _visitor(request), progress)
        except Cancelled:
            return [None, STOPPED, _no_file()]
        except REFUSALS as error:
            return [None, figures.refusal(_reason(error)), _no_file()]

    def _decode(
        self, upload: Path, decode: DecodeSettings, visitor: str, progress: gr.Progress
    ) -> list[Any]:
        data = self._bytes(upload)
        info = file_info(data, self.settings.max_pixels)
        stages = jobs.decode_stages(decode)
        watched = self._progress(visitor, info.height * info.width, stages, progress)
        pixels = jobs.decode_file(self.codec, data, decode, watched)
        log.info("%d x %d pixels are decoded", info.width, info.height)
        folder = self.visitors.new_folder(visitor, "decoded")
        path = pictures.write_png(folder / f"{pictures.stem(upload)}.png", pixels)
        quality = "one rate" if info.quality is None else f"quality {info.quality:g}"
        lines = figures.said(
            f"{len(data):,} bytes, {info.bpp:.3f} bpp, {quality}",
            f"{info.width} x {info.height} pixels",
        )
        return [str(path), lines, gr.DownloadButton(value=str(path), interactive=True)]

    def cancel(self, request: gr.Request) -> None:
        """Stops the visitor's jobs at the next tile."""
        self.visitors.cancel(_visitor(request))

    def leave(self, request: gr.Request) -> None:
        """The visitor's page is closed."""
        self.visitors.leave(_visitor(request))

    def _rate(self, by_size: bool, quality: float, kilobytes: float) -> jobs.Rate:
        if self.codec.one_rate:
            return jobs.Rate()
        return jobs.Rate(None, 1000 * kilobytes) if by_size else jobs.Rate(quality)

    def _decode_settings(
        self, realism: float, steps: int, gamma: float, seed: int
    ) -> DecodeSettings:
        """Raises ValueError for one out of its range: who calls the page need not be the page."""
        known = None if self.codec.one_rate else realism
        return DecodeSettings(steps=steps, gamma=gamma, realism=known, seed=seed).checked()

    def _bytes(self, upload: Path) -> bytes:
        if not upload.is_file():
            raise ValueError("the file is not here any more; drop it again.")
        return read_bytes(upload, self.settings.max_bytes)

    def _progress(
        self, visitor: str, pixels: int, stages: dict[str, float], progress: gr.Progress
    ) -> JobProgress:
        def tell(text: str, fraction: float, left: float | None) -> None:
            time_left = "" if left is None else f", about {max(1, round(left))} s left"
            progress(fraction, desc=text + time_left)

        return JobProgress(self.pace, pixels, stages, tell, self.visitors.cancelled(visitor))


def _visitor(request: gr.Request) -> str:
    return request.session_hash or ""


def _reason(error: BaseException) -> str:
    return "not enough memory for this picture" if isinstance(error, MemoryError) else str(error)


def _no_file() -> gr.DownloadButton:
    return gr.DownloadButton(value=None, interactive=False)


def _without_picture(text: str) -> list[Any]:
    """What `compress` returns where nothing came out."""
    return [None, None, text, "", _no_file(), _no_file(), None, [], ""]
