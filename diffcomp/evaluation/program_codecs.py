"""VTM and BPG as candidates, where their programs are on the PATH."""

import dataclasses
import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.metrics.programs import find_program, named_with_crc, run_program

VTM_CONFIG = "DIFFCOMP_VTM_CONFIG"  # environment variable: path of encoder_intra_vtm.cfg
# Y, Cb and Cr of full-range RGB by ITU-R BT.709, rows of the matrix; chroma is centred at 128.
_RED, _BLUE = 0.2126, 0.0722
_LUMA = np.array([_RED, 1 - _RED - _BLUE, _BLUE])


@dataclasses.dataclass(frozen=True)
class Programs:
    """Two programs and how they are called; `qp` falls as the quality rises."""

    encoder: str
    decoder: str
    where: str
    stated: str
    ladder: tuple[float, ...]  # quantisation parameters
    suffix: str
    encode: Callable[[np.ndarray, float], bytes]
    decode: Callable[[bytes], np.ndarray]


def program_candidate(name: str) -> Candidate:
    """The candidate `name`; raises FileNotFoundError for a program or its file that is missing."""
    programs = PROGRAM_CODECS[name]
    files = []
    for program in (programs.encoder, programs.decoder):
        files.append(find_program(program, f"Baseline {name}", programs.where))
    if name == "vtm":
        files.append(vtm_config())
    return Candidate(
        name=name,
        settings=f"{', '.join(map(named_with_crc, files))}, {programs.stated}",
        qualities=programs.ladder,
        encode=programs.encode,
        decode=programs.decode,
        suffix=programs.suffix,
        is_model=False,
    )


def vtm_config() -> Path:
    """`encoder_intra_vtm.cfg`: named by DIFFCOMP_VTM_CONFIG, or in `cfg` next to VTM's `bin`."""
    beside = Path(os.path.realpath(shutil.which("EncoderApp") or "")).parent
    path = Path(os.environ.get(VTM_CONFIG) or beside.parent / "cfg" / "encoder_intra_vtm.cfg")
    if not path.is_file():
        raise FileNotFoundError(
            f"Baseline vtm needs encoder_intra_vtm.cfg, which is not at {path}: set {VTM_CONFIG}."
        )
    return path


def rgb_to_yuv(image: np.ndarray) -> np.ndarray:
    """uint8 RGB [H, W, 3] -> uint8 planes Y, Cb, Cr [3, H, W], full range, 4:4:4."""
    luma = image @ _LUMA
    cb = (image[..., 2] - luma) / (2 * (1 - _BLUE)) + 128
    cr = (image[..., 0] - luma) / (2 * (1 - _RED)) + 128
    return np.clip(np.rint(np.stack([luma, cb, cr])), 0, 255).astype(np.uint8)


def yuv_to_rgb(planes: np.ndarray) -> np.ndarray:
    """The inverse of `rgb_to_yuv`, up to rounding."""
    luma, cb, cr = planes.astype(np.float64) - np.array([0, 128, 128]).reshape(3, 1, 1)
    red, blue = luma + 2 * (1 - _RED) * cr, luma + 2 * (1 - _BLUE) * cb
    green = (luma - _RED * red - _BLUE * blue) / _LUMA[1]
    return np.clip(np.rint(np.stack([red, green, blue], axis=-1)), 0, 255).astype(np.uint8)


# The size stands before VTM's bits: its raw output does not say it, and a file must.
_SIZE_BYTES = 4


def _vtm_encode(image: np.ndarray, qp: float) -> bytes:
    height, width = image.shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.yuv"), Path(folder, "out.bin")
        source.write_bytes(rgb_to_yuv(image).tobytes())
        options = {
            "InputFile": source,
            "BitstreamFile": target,
            "SourceWidth": width,
            "SourceHeight": height,
            "InputBitDepth": 8,
            "InputChromaFormat": 444,
            "FrameRate": 1,
            "FramesToBeEncoded": 1,
            "ConformanceWindowMode": 1,  # pads to the size of a block and crops again
            "QP": f"{qp:g}",
        }
        run_program("EncoderApp", "-c", vtm_config(), *(f"--{k}={v}" for k, v in options.items()))
        return np.array([height, width], "<u2").tobytes() + target.read_bytes()


def _vtm_decode(data: bytes) -> np.ndarray:
    height, width = (int(side) for side in np.frombuffer(data[:_SIZE_BYTES], "<u2"))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.bin"), Path(folder, "out.yuv")
        source.write_bytes(data[_SIZE_BYTES:])
        run_program("DecoderApp", "-b", source, "-o", target, "-d", "8")
        planes = np.frombuffer(target.read_bytes(), np.uint8)
    return yuv_to_rgb(planes.reshape(3, height, width))


def encode_by(command: Sequence[str], image: np.ndarray, quality: float) -> bytes:
    """The file that a command makes, with {q}, {src}, a PNG, and {bits} for what it is to write.

    Raises RuntimeError if it fails or writes none.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, bits = Path(folder, "in.png"), Path(folder, "out.bits")
        Image.fromarray(image).save(source)
        run_program(*(part.format(q=f"{quality:g}", src=source, bits=bits) for part in command))
        if not bits.is_file():
            raise RuntimeError(f"{command[0]} ended well but wrote no file")
        return bits.read_bytes()


def decode_by(command: Sequence[str], data: bytes) -> np.ndarray:
    """The picture, uint8 [H, W, 3], that a command makes of {bits} and writes to {dst}, a PNG.

    Raises RuntimeError if it fails or writes none.
    """
    with tempfile.TemporaryDirectory() as folder:
        bits, target = Path(folder, "in.bits"), Path(folder, "out.png")
        bits.write_bytes(data)
        run_program(*(part.format(bits=bits, dst=target) for part in command))
        if not target.is_file():
            raise RuntimeError(f"{command[0]} ended well but wrote no picture")
        with Image.open(target) as image:
            return np.array(image.convert("RGB"))


PROGRAM_CODECS = {
    "vtm": Programs(
        encoder="EncoderApp",
        decoder="DecoderApp",
        where="build https://vcgit.hhi.fraunhofer.de/jvet/VVCSoftware_VTM",
        stated="all intra, BT.709 YCbCr 4:4:4, 8 bits",
        ladder=(47, 42, 37, 32, 27),
        suffix=".vvc",
        encode=_vtm_encode,
        decode=_vtm_decode,
    ),
    "bpg": Programs(
        encoder="bpgenc",
        decoder="bpgdec",
        where="build libbpg, https://bellard.org/bpg",
        stated="-m 9, YCbCr 4:4:4, 8 bits",
        ladder=(46, 41, 36, 31, 27),
        suffix=".bpg",
        encode=functools.partial(
            encode_by, ("bpgenc", "-m", "9", "-f", "444", "-q", "{q}", "-o", "{bits}", "{src}")
        ),
        decode=functools.partial(decode_by, ("bpgdec", "-o", "{dst}", "{bits}")),
    ),
}
