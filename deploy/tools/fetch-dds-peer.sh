#!/bin/sh
# Brings a DDS peer that is not ours: Cyclone DDS for Python, in .tools/dds-venv. Its wheel carries
# its own C library; Python 3.9 gets 0.10.5, 3.11 and later 11.0.1. Beside it `cryptography`, which
# deploy/dds/open_samples.py opens sealed samples with. Does nothing when both are there.
set -eu
exec "$(dirname "$0")/python-venv.sh" dds-venv 'cyclonedds, cryptography' --only-binary :all: 'cyclonedds>=0.10.5,<12' 'cryptography>=42,<51'
