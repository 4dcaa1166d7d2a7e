#!/bin/sh
# Brings a reader of model files that is not ours: safetensors and numpy for Python, in .tools/safetensors-venv, and what
# Python's torch imports (it comes with libtorch, in .libtorch/python). Does nothing when all are there.
set -eu
exec "$(dirname "$0")/python-venv.sh" safetensors-venv 'safetensors, numpy, filelock, fsspec, jinja2, networkx, sympy, typing_extensions' \
    --only-binary :all: 'safetensors>=0.4.3,<1' 'numpy>=1.24,<3' \
    filelock 'fsspec>=0.8.5' jinja2 'networkx>=2.5.1' 'sympy>=1.13.3' 'typing-extensions>=4.10'
