#!/usr/bin/env bash
# apache-beam 2.77.0, NumPy 2.4.6, Python 3.11, Linux: the local runner in several processes
# (--direct_running_mode=multi_processing).
#
# One would think: a worker process that is killed, as the kernel does when memory runs out, fails the
# pipeline, or its bundle is tried again by another worker.
#
# Seen: the pipeline hangs. A thread of the runner dies of "RuntimeError: Worker subprocess exited with
# return code 137", which is printed and goes no further: `run` has neither raised nor returned after a
# minute (once, after two). The same pipeline without the kill ends within seconds.
# Way out: `threading.excepthook` sees that error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --only-binary :all: apache-beam==2.77.0 numpy==2.4.6 2> /dev/null
cat > "$folder/pipeline.py" << 'PYTHON'
import os
import signal
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

OPTIONS = ["--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]


def work(number, killed):
    if number == killed:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


if __name__ == "__main__":
    killed = int(sys.argv[1])
    pipeline = beam.Pipeline(options=PipelineOptions(OPTIONS))
    pipeline | beam.Create(range(40)) | beam.Reshuffle() | beam.Map(work, killed)
    pipeline.run().wait_until_finish()
PYTHON
# The log goes to a file: workers that outlive the program would keep a pipe open.
run() {
  local code=0
  timeout --kill-after=5 60 "$folder/venv/bin/python" "$folder/pipeline.py" "$1" \
    > "$folder/log" 2>&1 || code=$?
  echo "$code"
}
whole=$(run -1)
echo "no worker killed: exit code $whole"
[[ "$whole" == 0 ]]
killed=$(run 7)
echo "a worker killed: exit code $killed (124: still there after 60 s)"
grep "Worker subprocess exited with return code 137" "$folder/log"
[[ "$killed" == 124 || "$killed" == 137 ]]
