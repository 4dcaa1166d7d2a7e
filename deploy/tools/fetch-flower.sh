#!/bin/sh
# Brings Flower with its simulation (on Ray), which `bench rounds` measures beside our rounds, into .tools/flower-venv of
# this repository: about 530 MB, a minute. Does nothing when it is there. Where it cannot be installed (its wheels are for
# few versions of Python) it says so, and the benchmark goes without it.
set -eu
tools=$(dirname "$0")
if ! "$tools/python-venv.sh" flower-venv 'flwr.simulation, ray' --only-binary :all: 'flwr[simulation]==1.41.0'; then
    rm -rf "$tools/../../.tools/flower-venv"
    echo "setup: Flower 1.41.0 cannot be installed here, pip says above why; bench rounds goes without it" >&2
fi
