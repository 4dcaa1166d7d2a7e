#!/bin/sh
# Brings coboljsonifier, a decoder of EBCDIC records in Python, which the benchmarks measure beside ours,
# into .tools/coboljsonifier-venv of this repository. Does nothing when it is there.
set -eu
exec "$(dirname "$0")/python-venv.sh" coboljsonifier-venv coboljsonifier 'coboljsonifier==1.0.8'
