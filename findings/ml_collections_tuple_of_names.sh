#!/usr/bin/env bash
# ml_collections 1.1.0, absl-py 2.5.1, Python 3.11, Linux: a field of a configuration that is a tuple,
# overridden on the command line.
#
# One would think: as `--config.numbers=1,2` sets (1, 2), `--config.names=psnr,dists` sets
# ("psnr", "dists"), and `--config.names=` sets ().
#
# Seen: `--config.numbers=1,2` does set (1, 2), integers where the default (1.0, 2.0) has floats. But
# `--config.names=psnr,dists` sets ("psnr,dists",), one name with a comma in it, and `--config.names=`
# sets ("",), one empty name. No word of either. A value is read as a Python literal, and what is none
# becomes the single entry of the tuple.
# Way out: `--config.names="('psnr', 'dists')"` and `--config.names="()"`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --only-binary :all: ml_collections==1.1.0 absl-py==2.5.1 2> /dev/null
cat > "$folder/config.py" << 'PYTHON'
from ml_collections import ConfigDict


def get_config():
    return ConfigDict({"names": ("ssim", "vif"), "numbers": (1.0, 2.0)})
PYTHON
cat > "$folder/program.py" << 'PYTHON'
from absl import app
from ml_collections import config_flags

CONFIG = config_flags.DEFINE_config_file("config")


def main(_):
    print(CONFIG.value.names, CONFIG.value.numbers)


app.run(main)
PYTHON
cd "$folder"

check() { # arguments of the program, then what it is to print
  local printed
  printed=$(venv/bin/python program.py --config=config.py "$1")
  echo "$1 gives $printed"
  [ "$printed" = "$2" ] || { echo "not as before: it was $2" >&2; exit 1; }
}

check "--config.numbers=1,2" "('ssim', 'vif') (1, 2)"
check "--config.names=psnr,dists" "('psnr,dists',) (1.0, 2.0)"
check "--config.names=" "('',) (1.0, 2.0)"
check "--config.names=('psnr', 'dists')" "('psnr', 'dists') (1.0, 2.0)"
check "--config.names=()" "() (1.0, 2.0)"
