#!/bin/sh
# Usage: python-venv.sh NAME MODULE PIP-ARGUMENT...
# Brings MODULE in a virtual environment of Python, .tools/NAME of this repository, as the arguments for
# pip say. Does nothing when it is there.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
venv="$root/.tools/$1"
module=$2
shift 2
python="$venv/bin/python"
if [ -x "$python" ] && "$python" -c "import $module" 2>/dev/null; then
    exit 0
fi
if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    echo "python3 with venv is missing: install the packages python3 and python3-venv" >&2
    exit 1
fi
rm -rf "$venv"
mkdir -p "$root/.tools"
python3 -m venv "$venv"
"$python" -m pip install --quiet --disable-pip-version-check "$@"
"$python" -c "import $module"
