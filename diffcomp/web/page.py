"""The page: what stands where, and which event is whose."""

from typing import TYPE_CHECKING

import gradio as gr

from diffcomp.coding.quality import DEFAULT_QUALITY, MAX_QUALITY, MIN_QUALITY
from diffcomp.web.events import Events
from diffcomp.web.settings import ServeSettings

if TYPE_CHECKING:
    from diffcomp.codec import Codec

MAX_STEPS_SHOWN = 65  # the published models' longest
MAX_SEED_SHOWN = 999
BY_QUALITY, BY_SIZE = "quality", "file size"
KILOBYTES = (1, 500, 20)  # least, most, first
# Gradio removes what no visitor is known to own: every so many seconds, what is so many old.
DELETE_CACHE = (300, 3600)

CSS = """
.refusal { border-left: 4px solid #c62828; padding: 0.5em 1em; overflow-wrap: anywhere; }
.lines p { margin: 0.1em 0; }
.gradio-container { max-width: 1200px !important; margin: 0 auto !important; }
footer { display: none !important; }
"""


def theme() -> gr.themes.Base:
    """Fonts are the visitor's own: none is fetched."""
    return gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])


def build(events: Events) -> gr.Blocks:
    """The page of a server."""
    codec, settings = events.codec, events.settings
    with gr.Blocks(title="diffcomp", analytics_enabled=False, delete_cache=DELETE_CACHE) as page:
        gr.Markdown(_introduction(codec, settings))
        with gr.Tab("Compress"):
            _compress_tab(events)
        with gr.Tab("Decode"):
            _decode_tab(events)
        page.unload(events.leave)
    page.queue(max_size=settings.queue, default_concurrency_limit=1, api_open=False)
    return page


def _introduction(codec: "Codec", settings: ServeSettings) -> str:
    return (
        f"# diffcomp\nA picture as a file of a few kilobytes, and back: model `{codec.model.name}`."
        f" Up to {settings.max_pixels / 1e6:.1f} megapixels and {settings.max_bytes / 1e6:.0f} MB."
        " Files are removed when you close the page, and after an hour."
    )


def _compress_tab(events: Events) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            upload = gr.File(label="A picture", elem_id="picture", height=120)
            with gr.Row():
                run = gr.Button("Compress", variant="primary", elem_id="compress", min_width=100)
                stop = gr.Button("Cancel", elem_id="cancel", min_width=100)
            by_size, quality, kilobytes = _rate_sliders(events.codec)
            knobs = _decoding_sliders(events.codec)
        with gr.Column(scale=3, min_width=280):
            with gr.Row():
                with gr.Column(min_width=280):
                    coded = _comparison("original | decoded", "coded")
                    lines = gr.HTML(elem_id="lines", elem_classes="lines", min_height=0)
                    with gr.Row():
                        file = _download("Download .dfc", "dfc")
                        picture = _download("Download .png", "png")
                with gr.Column(min_width=280):
                    other = _comparison("original | AVIF of equal bytes", "avif")
                    avif_lines = gr.HTML(elem_id="avif_lines", elem_classes="lines", min_height=0)
            plot = gr.HTML(elem_id="plot", min_height=0)
    shown, points = gr.State(None), gr.State([])
    inputs = [upload, by_size, quality, kilobytes, *knobs, shown, points]
    outputs = [coded, other, lines, avif_lines, file, picture, shown, points, plot]
    jobs = []
    for started in (_kept(events, upload), run.click):
        job = started(
            events.compress,
            inputs,
            outputs,
            show_progress_on=coded,
            concurrency_id="networks",
            api_name="compress",
        )
        beside = job.then(
            events.avif,
            [shown, points],
            [other, avif_lines, points, plot],
            show_progress_on=other,
            concurrency_id="avif",
            api_visibility="private",
        )
        jobs += [job, beside]
    _stops(events, stop, jobs)


def _decode_tab(events: Events) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            upload = gr.File(label="A .dfc file", elem_id="dfc_file", height=120)
            with gr.Row():
                run = gr.Button("Decode", variant="primary", elem_id="decode", min_width=100)
                stop = gr.Button("Cancel", min_width=100)
            knobs = _decoding_sliders(events.codec)
        with gr.Column(scale=3, min_width=280):
            picture = gr.Image(
                label="decoded", format="png", interactive=False, elem_id="decoded", buttons=[]
            )
            lines = gr.HTML(elem_id="decoded_lines", elem_classes="lines", min_height=0)
            file = _download("Download .png", "decoded_png")
    jobs = [
        started(
            events.decode,
            [upload, *knobs],
            [picture, lines, file],
            show_progress_on=picture,
            concurrency_id="networks",
            api_name="decode",
        )
        for started in (_kept(events, upload), run.click)
    ]
    _stops(events, stop, jobs)


def _rate_sliders(codec: "Codec") -> tuple[gr.Radio, gr.Slider, gr.Slider]:
    has_quality = not codec.one_rate
    by_size = gr.Radio(
        [(BY_QUALITY, False), (BY_SIZE, True)],
        value=False, label="Set", elem_id="by_size", visible=has_quality,
    )  # fmt: skip
    quality = gr.Slider(
        MIN_QUALITY, MAX_QUALITY, DEFAULT_QUALITY, step=1 / 32,
        label="Quality", elem_id="quality", visible=has_quality,
    )  # fmt: skip
    least, most, first = KILOBYTES
    kilobytes = gr.Slider(
        least, most, first, step=0.5, label="Kilobytes at most", elem_id="kilobytes", visible=False
    )
    by_size.change(
        lambda by_size: (gr.Slider(visible=not by_size), gr.Slider(visible=by_size)),
        by_size, [quality, kilobytes], queue=False, api_visibility="private",
    )  # fmt: skip
    return by_size, quality, kilobytes


def _decoding_sliders(codec: "Codec") -> list[gr.Slider]:
    model = codec.model.decode
    realism = gr.Slider(
        0, 1, 1, step=0.05, label="Realism", visible=not codec.one_rate,
        info="0: least error; 1: a natural look",
    )  # fmt: skip
    # On a phone, where results come below, as little as can be stands above them.
    with gr.Accordion("Steps and noise", open=codec.one_rate):
        return [
            realism,
            gr.Slider(1, MAX_STEPS_SHOWN, model.steps, step=1, label="Steps"),
            gr.Slider(0, 1, model.gamma, step=0.05, label="Gamma", info="starting noise"),
            gr.Slider(0, MAX_SEED_SHOWN, 0, step=1, label="Seed", info="of the noise"),
        ]


def _comparison(label: str, name: str) -> gr.ImageSlider:
    return gr.ImageSlider(
        label=label, format="png", interactive=False, elem_id=name, max_height=420, buttons=[],
    )  # fmt: skip


def _download(label: str, name: str) -> gr.DownloadButton:
    return gr.DownloadButton(label, interactive=False, elem_id=name, min_width=120, size="md")


def _kept(events: Events, upload: gr.File):  # noqa: ANN202
    """What happens once a dropped file is known to be the visitor's."""
    upload.clear(events.keep_upload, upload, queue=False, api_visibility="private")
    return upload.upload(events.keep_upload, upload, queue=False, api_visibility="private").then


def _stops(events: Events, button: gr.Button, jobs: list) -> None:
    """Those that wait are taken from the queue; the one that runs stops by itself."""
    button.click(events.cancel, cancels=jobs, queue=False, api_visibility="private")
