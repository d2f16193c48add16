#!/usr/bin/env bash
# Pillow 13.0.0, tifffile 2026.3.3, NumPy 2.4.6, Python 3.11.
#
# One would think: a TIFF whose channels lie apart (PlanarConfiguration 2) is read like one whose
# channels lie together, or refused. Pillow's own tests read such files, of 8 bits and compressed.
#
# Seen: with 16 bits per sample and without compression, in either byte order, the picture opens, is
# loaded without a warning, and is scrambled: each channel's bytes are taken for 8-bit samples, so
# upper and lower halves alternate and half of the picture is missing. The same samples, deflated, are
# right to 8 bits, and so are uncompressed ones whose channels lie together. (Raw mode "RGB;16L" is
# indexed by the channel, which gives "R", "G", "B": the raw modes of 8-bit samples.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6 2> /dev/null
"$folder/venv/bin/python" -W error - << 'PYTHON'
import io

import numpy as np
import tifffile
from PIL import Image

ramp = np.linspace(0, 65535, 40 * 60).astype(np.uint16).reshape(40, 60)
samples = np.stack([ramp, ramp.T.reshape(40, 60), 65535 - ramp], axis=-1)
errors = {}
for order in "<>":
    for apart, compression in ((True, None), (True, "zlib"), (False, None)):
        file = io.BytesIO()
        tifffile.imwrite(
            file,
            np.moveaxis(samples, -1, 0) if apart else samples,
            photometric="rgb",
            planarconfig="separate" if apart else "contig",
            compression=compression,
            byteorder=order,
        )
        file.seek(0)
        back = tifffile.imread(file)  # the file is valid
        assert np.array_equal(np.moveaxis(back, 0, -1) if apart else back, samples)
        pixels = np.asarray(Image.open(file)).astype(int)
        assert pixels.shape == samples.shape
        error = np.abs(pixels - samples / 257).max()
        where = "apart" if apart else "together"
        print(f"{order} channels {where}, compression {compression}: {error:.0f} levels off at most")
        errors[order, apart, compression] = error
for order in "<>":
    assert errors[order, True, None] > 200, errors
    assert errors[order, True, "zlib"] < 1 and errors[order, False, None] < 1, errors
PYTHON
