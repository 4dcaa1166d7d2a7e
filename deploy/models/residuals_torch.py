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


class Network(torch.nn.Sequential):
    """Linear layers and the activation between them. A temporal model's layer sees several neighbours of the one
    below, side by side: a convolution whose steps are as long as its kernel."""

    def forward(self, x):
        for layer in self:
            if isinstance(layer, torch.nn.Linear):
                x = x.reshape(-1, layer.in_features)
            x = layer(x)
        return x


def network(path):
    """The model, and how many rows it looks at to rebuild the newest of them."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    activation = ACTIVATIONS[about["activation"]]
    state = load_file(path)
    layers = []
    for n in range(len(state) // 2):
        outputs, inputs = state[f"{2 * n}.weight"].shape
        layers += [torch.nn.Linear(inputs, outputs), activation()]
    model = Network(*layers[:-1])
    model.load_state_dict(state)
    return model, int(about.get("kernel", 1)) ** (len(state) // 2)


def main():
    model, reach = network(sys.argv[1])
    slots = model[-1].out_features
    rows = json.load(sys.stdin)
    rows = [row + [None] * (slots - len(row)) for row in rows]
    mask = torch.tensor([[value is not None for value in row] for row in rows])
    values = torch.tensor([[value or 0.0 for value in row] for row in rows])
    x = torch.cat([values.clamp(-CLIP, CLIP), mask.float()], dim=1)
    before = torch.zeros(reach - 1, x.shape[1])  # what came before is not known
    windows = torch.cat([before, x]).unfold(0, reach, 1).transpose(1, 2)  # rows, reach, inputs
    with torch.no_grad():
        left = values - model(windows)
    json.dump([[r if m else None for r, m in zip(*pair)] for pair in zip(left.tolist(), mask.tolist())], sys.stdout)


if __name__ == "__main__":
    main()
