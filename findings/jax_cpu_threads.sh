#!/usr/bin/env bash
# jax 0.10.2, jaxlib 0.10.2, Python 3.11, Linux: threads that compute on CPUs.
#
# One would think: as many as the process may use cores, by its affinity; and several virtual devices
# (xla_force_host_platform_device_count) need no more of them.
#
# Seen: the environment variable NPROC says how many, more than there are cores if it says so; without
# it there are as many as cores; with more virtual devices there are as many as devices. Devices that
# wait for each other in a sum hold such threads, so that on two cores programs of eight devices waited
# for ever, or were ended by XLA after 40 seconds, which NPROC=32 cured.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --only-binary :all: jax==0.10.2 jaxlib==0.10.2 2> /dev/null
cat > "$folder/threads.py" << 'PYTHON'
import os

import jax.numpy as jnp

(jnp.ones((512, 512)) @ jnp.ones((512, 512))).block_until_ready()
tasks = os.listdir("/proc/self/task")
names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in tasks]
print(names.count("tf_XLAEigen"))
PYTHON

check() { # threads that there must be, then the environment
  local found expected=$1
  shift
  found=$(env JAX_PLATFORMS=cpu "$@" "$folder/venv/bin/python" "$folder/threads.py" 2> /dev/null)
  echo "${*}: $found threads"
  [ "$found" = "$expected" ] || { echo "not as before: $expected" >&2; exit 1; }
}

cores=$(nproc)
check "$cores" XLA_FLAGS=
check 1 NPROC=1
check $((cores + 30)) NPROC=$((cores + 30))
check $((cores + 6)) XLA_FLAGS=--xla_force_host_platform_device_count=$((cores + 6))
check $((cores + 9)) NPROC=$((cores + 9)) XLA_FLAGS=--xla_force_host_platform_device_count=2
