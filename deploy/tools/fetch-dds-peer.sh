#!/bin/sh
# Brings a DDS peer that is not ours: Cyclone DDS for Python, in .tools/dds-venv. Its wheel carries
# its own C library; Python 3.9 gets 0.10.5, 3.11 and later 11.0.1. Does nothing when it is there.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
venv="$root/.tools/dds-venv"
python="$venv/bin/python"
if [ -x "$python" ] && "$python" -c 'import cyclonedds' 2>/dev/null; then
    exit 0
fi
if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    echo "python3 with venv is missing: install the packages python3 and python3-venv" >&2
    exit 1
fi
rm -rf "$venv"
mkdir -p "$root/.tools"
python3 -m venv "$venv"
"$python" -m pip install --quiet --disable-pip-version-check --only-binary cyclonedds 'cyclonedds>=0.10.5,<12'
"$python" -c 'import cyclonedds'
