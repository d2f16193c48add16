"""What all outputs of one folder depend on: a rerun with other settings would mix two corpora."""

import dataclasses
import json

from diffcomp.coding.quality import quality_to_code
from diffcomp.corpus.storage import Storage
from diffcomp.decode_settings import DecodeSettings
from diffcomp.files import image_file
from diffcomp.files.atomic_file import FileError

MODES = ("compress", "decompress")
FORMATS = ("files", "array_record")
_AS_THE_MODEL = DecodeSettings()


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is done to every picture."""

    mode: str = "compress"  # of MODES
    model: str | None = None  # name or folder; None: the default, or the one that wrote the file
    quality: float | None = None
    background: tuple[int, int, int] | None = None  # under transparent pixels, sRGB
    psnr: bool = False  # measured on what the new file decodes to
    decode: DecodeSettings = _AS_THE_MODEL
    suffix: str = ".png"  # of decompressed pictures
    output_format: str = "files"  # of FORMATS
    shards: int = 16  # files of array_record

    def checked(self) -> "Settings":
        """The same; raises ValueError for a value or a combination that cannot be."""
        for name, value, choices in (
            ("mode", self.mode, MODES),
            ("output format", self.output_format, FORMATS),
        ):
            if value not in choices:
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(choices)}.")
        if self.mode == "decompress":
            for name in ("quality", "background", "psnr"):
                if getattr(self, name) not in (None, False):
                    raise ValueError(f"{name} is for compressing; decompressing has no use for it.")
        if self.quality is not None:
            quality_to_code(self.quality)
        if self.shards < 1:
            raise ValueError(f"shards is {self.shards}; it must be 1 or more.")
        image_file.image_format(f"suffix {self.suffix}")
        self.decode.checked()
        return self


def keep(storage: Storage, settings: Settings, fingerprint: int | None) -> None:
    """Notes the settings in the folder of outputs, or holds them against those of its first run.

    fingerprint: of the model, which may lie in another folder now; None if each file names its own.
    Raises FileError if they differ: what is done already would be of other settings.
    """
    now = dataclasses.asdict(settings) | {"model": fingerprint}
    now = json.loads(json.dumps(now))  # tuples become lists, as in what is read
    path = storage.private("settings.json")
    if not storage.exists(path):
        own = storage.private("")
        for other in storage.files_below(f"{storage.folder}/"):
            if not other.startswith(own):
                raise FileError(
                    f"{storage.folder}: holds files of others, such as {other}; name an empty"
                    " folder, or one of an earlier run"
                )
        storage.write(path, json.dumps(now, indent=1).encode() + b"\n")
        return
    before = json.loads(storage.read(path))
    for name in now:
        if before.get(name) != now[name]:
            raise FileError(
                f"{storage.folder}: {name} was {before.get(name)!r} in an earlier run, is"
                f" {now[name]!r}; name another folder of outputs"
            )
