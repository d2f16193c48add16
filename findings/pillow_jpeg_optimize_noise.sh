#!/usr/bin/env bash
# Pillow 13.0.0 (libjpeg-turbo inside), NumPy 2.4.1, Python 3.11, Linux: a JPEG of coloured noise,
# 4:4:4, with `optimize=True` or `progressive=True`.
#
# One would think: the options change the size of the file, not whether there is one.
#
# Seen: into a BytesIO there is none, at quality 90 as at 100: OSError, "broken data stream when writing
# image file", after libjpeg's "Suspension not allowed here". Without the options, and at 4:2:0 with
# them, all are written. The file is larger than the one or two bytes a pixel that Pillow takes as the
# size of its buffer. Way out: PIL.ImageFile.MAXBLOCK raised above the largest file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --only-binary :all: pillow==13.0.0 numpy==2.4.1 2> /dev/null
cat > "$folder/noise.py" << 'PYTHON'
import io
import sys

import numpy as np
from PIL import Image, ImageFile

options = {name: True for name in sys.argv[3:] if name != "larger"}
if "larger" in sys.argv:
    ImageFile.MAXBLOCK = 2**22
noise = np.random.default_rng(1).integers(0, 256, (512, 512, 3), np.uint8)
file = io.BytesIO()
try:
    Image.fromarray(noise).save(
        file, "JPEG", quality=int(sys.argv[1]), subsampling=sys.argv[2], **options
    )
    print("written")
except OSError as error:
    print(error)
PYTHON

check() { # what must be printed, then the arguments
  local printed
  printed=$("$folder/venv/bin/python" "$folder/noise.py" "${@:2}" 2> /dev/null)
  echo "${*:2}: $printed"
  [ "$printed" = "$1" ] || { echo "not as before: $1" >&2; exit 1; }
}

broken="broken data stream when writing image file"
for quality in 90 100; do
  check written "$quality" 4:4:4
  check "$broken" "$quality" 4:4:4 optimize
  check "$broken" "$quality" 4:4:4 progressive
  check written "$quality" 4:2:0 optimize
  check written "$quality" 4:4:4 optimize larger
done
