#!/bin/sh
# Brings a reader of model files that is not ours: safetensors and numpy for Python, in .tools/safetensors-venv.
# Does nothing when both are there.
set -eu
exec "$(dirname "$0")/python-venv.sh" safetensors-venv 'safetensors, numpy' --only-binary :all: 'safetensors>=0.4.3,<1' 'numpy>=1.24,<3'
