#!/bin/sh
# Brings aiosmtpd, Python's mail server, which the benchmarks measure beside our mailbox, into
# .tools/aiosmtpd-venv of this repository. Does nothing when it is there.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
venv="$root/.tools/aiosmtpd-venv"
python="$venv/bin/python"
if [ -x "$python" ] && "$python" -c 'import aiosmtpd' 2>/dev/null; then
    exit 0
fi
if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    echo "python3 with venv is missing: install the packages python3 and python3-venv" >&2
    exit 1
fi
rm -rf "$venv"
mkdir -p "$root/.tools"
python3 -m venv "$venv"
"$python" -m pip install --quiet --disable-pip-version-check 'aiosmtpd>=1.4.6,<2'
"$python" -c 'import aiosmtpd'
