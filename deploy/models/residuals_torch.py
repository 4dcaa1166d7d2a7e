#!/usr/bin/env python3
"""What a model of Glasshouse leaves unexplained, by PyTorch.

    residuals_torch.py MODEL.safetensors < rows.json

As residuals.py, with `torch` and `safetensors` instead of arithmetic of its own: `network` is all that it takes to have
the model in Python.
"""

import json
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file

CLIP = 10.0  # deviations; the network saw nothing larger
ACTIVATIONS = {"elu": torch.nn.ELU, "relu": torch.nn.ReLU}


def network(path):
    """The model as an `nn.Sequential`: linear layers, and the activation between them."""
    with safe_open(path, framework="pt") as file:
        activation = ACTIVATIONS[file.metadata()["activation"]]
    state = load_file(path)
    layers = []
    for n in range(len(state) // 2):
        outputs, inputs = state[f"{2 * n}.weight"].shape
        layers += [torch.nn.Linear(inputs, outputs), activation()]
    model = torch.nn.Sequential(*layers[:-1])
    model.load_state_dict(state)
    return model


def main():
    model = network(sys.argv[1])
    slots = model[-1].out_features
    rows = json.load(sys.stdin)
    rows = [row + [None] * (slots - len(row)) for row in rows]
    mask = torch.tensor([[value is not None for value in row] for row in rows])
    values = torch.tensor([[value or 0.0 for value in row] for row in rows])
    with torch.no_grad():
        left = values - model(torch.cat([values.clamp(-CLIP, CLIP), mask.float()], dim=1))
    json.dump([[r if m else None for r, m in zip(*pair)] for pair in zip(left.tolist(), mask.tolist())], sys.stdout)


if __name__ == "__main__":
    main()
