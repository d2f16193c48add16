"""`.dfc` files for Pillow: after `import diffcomp.pillow`, `Image.open` and `.save` know them.

    import diffcomp.pillow
    from PIL import Image

    Image.open("photo.jpg").convert("RGB").save("photo.dfc", quality=4)
    picture = Image.open("photo.dfc")  # the header; pixels are decoded when they are asked for

A file is decoded by the shipped model that wrote it, or by a model told to `add_model`.
"""

from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile

from diffcomp.coding import bitstream
from diffcomp.coding.bitstream import LARGEST_FILE, SUFFIX, BitstreamError
from diffcomp.coding.file_info import file_info
from diffcomp.coding.quality import DEFAULT_QUALITY
from diffcomp.decode_settings import DecodeSettings
from diffcomp.export.shipped_models import DEFAULT_MODEL, ModelError, model_names
from diffcomp.loaded_codecs import codec_of

FORMAT = "DFC"

_folders: dict[int, str] = {}  # of models that were added, by fingerprint


def add_model(folder: str | Path) -> None:
    """Makes the files of an exported model readable; raises ModelError if it cannot be read."""
    codec = codec_of(str(folder))
    _folders[codec.model.coder.fingerprint] = str(folder)


class DfcImageFile(ImageFile.ImageFile):
    """A `.dfc` file as an image of mode RGB; `info` has its `quality`, None of models of one rate.

    `settings`, a DecodeSettings, can be set until the pixels are first asked for.
    """

    format = FORMAT
    format_description = "diffcomp"

    def _open(self) -> None:
        data = self.fp.read(LARGEST_FILE + 1)
        if not _accept(data):
            raise SyntaxError("not a DFC file")
        if len(data) > LARGEST_FILE:
            raise BitstreamError(f"the file is longer than the limit of {LARGEST_FILE} bytes.")
        found = file_info(data)
        self._size = (found.width, found.height)
        self._mode = "RGB"
        self.info["quality"] = found.quality
        self.settings = DecodeSettings()
        self._fingerprint = found.fingerprint
        self._data: bytes | None = data
        self.tile = []

    def load(self) -> Any:
        """Decodes the picture, once; raises BitstreamError for a damaged file, ModelError."""
        if self._data is not None:
            pixels = codec_of(_model_of(self._fingerprint)).decode(self._data, self.settings)
            self.im = Image.fromarray(pixels).im
            self._data = None
            if self._exclusive_fp and self._close_exclusive_fp_after_loading:
                self.fp.close()
            self.fp = None
        return super().load()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(bitstream.MAGIC)


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Pillow's hook: `quality` in [1, 8] and `model` are what `.save` was given."""
    if image.mode != "RGB":
        raise OSError(f"cannot write mode {image.mode} as {FORMAT}; convert it to RGB")
    options = image.encoderinfo
    codec = codec_of(str(options.get("model", DEFAULT_MODEL)))
    quality = options.get("quality", None if codec.one_rate else DEFAULT_QUALITY)
    file.write(codec.compress(np.asarray(image), quality))


def _model_of(fingerprint: int) -> str:
    known = model_names() | _folders
    if fingerprint not in known:
        raise ModelError(
            f"the file was made by model {fingerprint:08x}, which is none of"
            f" {', '.join(known.values())}; diffcomp.pillow.add_model takes its folder."
        )
    return known[fingerprint]


Image.register_open(FORMAT, DfcImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, SUFFIX)
