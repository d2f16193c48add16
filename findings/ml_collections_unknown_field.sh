#!/usr/bin/env bash
# ml_collections 1.1.0, absl-py 2.5.1, Python 3.11, Linux: an override on the command line of a field
# that the configuration does not have.
#
# One would think: it ends as an override of the wrong type does, and as an unknown flag does, with
# absl's "FATAL Flags parsing error", a line and exit code 1; `absl.flags.Error` is what is raised.
#
# Seen: while the command line is read, before `main`, AttributeError is raised for an unknown name and
# IndexError for a tuple's entry, neither of them an `absl.flags.Error`, so that absl's handling does
# not see them and the program ends in a traceback.
# Way out: `app.run(main, flags_parser=...)` with a parser of one's own around
# `app.parse_flags_with_usage`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --only-binary :all: ml_collections==1.1.0 absl-py==2.5.1 2> /dev/null
cat > "$folder/config.py" << 'PYTHON'
from ml_collections import ConfigDict


def get_config():
    return ConfigDict({"steps": 3, "rates": (1.0, 2.0)})
PYTHON
cat > "$folder/program.py" << 'PYTHON'
from absl import app
from ml_collections import config_flags

CONFIG = config_flags.DEFINE_config_file("config")
app.run(lambda _: print(CONFIG.value.steps))
PYTHON
cd "$folder"

check() { # an argument, then what must stand in the output's last lines
  local printed code=0
  printed=$(venv/bin/python program.py --config=config.py "$1" 2>&1) || code=$?
  echo "$1: exit code $code: $(tail -n 1 <<< "$printed")"
  grep -q "$2" <<< "$printed" || { echo "not as before: no $2" >&2; exit 1; }
}

check "--config.steps=many" "^FATAL Flags parsing error"
check "--step=4" "^FATAL Flags parsing error"
check "--config.step=4" "^AttributeError"
check "--config.rates[0]=4" "^IndexError"
