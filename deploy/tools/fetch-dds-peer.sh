#!/bin/sh
# Brings a DDS peer that is not ours: Cyclone DDS for Python, in .tools/dds-venv. Its wheel carries
# its own C library; Python 3.9 gets 0.10.5, 3.11 and later 11.0.1. Does nothing when it is there.
set -eu
exec "$(dirname "$0")/python-venv.sh" dds-venv cyclonedds --only-binary cyclonedds 'cyclonedds>=0.10.5,<12'
