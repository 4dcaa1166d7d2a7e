#!/usr/bin/env python3
"""What a model of Glasshouse leaves unexplained, without Glasshouse.

    residuals.py MODEL.safetensors < rows.json

MODEL comes from `glasshouse models export`. Standard input holds a JSON list of the rows of one device, the oldest
first; a row is a list of up to as many numbers as the model has outputs, in deviations from the device's normal
level, null where the device does not report. Standard output gets a JSON list of the residuals (value minus reconstruction), null where the
row has null. Needs `safetensors` and `numpy`; with torch the same file goes into an `nn.Sequential` by
`load_state_dict(safetensors.torch.load_file(MODEL))`.

A temporal model (`kernel` over 1 in the file's metadata) rebuilds a row from the last kernel^layers rows: of
each layer's inputs, `kernel` neighbours lie side by side before they are multiplied.
"""

import json
import sys

import numpy as np
from safetensors import safe_open

CLIP = 10.0  # deviations; the network saw nothing larger


def layers(path):
    with safe_open(path, framework="np") as file:
        about = file.metadata()
        count = len(file.keys()) // 2
        found = [
            (file.get_tensor(f"{2 * n}.weight"), file.get_tensor(f"{2 * n}.bias"))
            for n in range(count)
        ]
    return about, found


def main():
    about, network = layers(sys.argv[1])
    slots = network[-1][0].shape[0]
    rows = json.load(sys.stdin)
    values = np.zeros((len(rows), slots), dtype=np.float32)
    mask = np.zeros((len(rows), slots), dtype=np.float32)
    for n, row in enumerate(rows):
        for slot, value in enumerate(row):
            if value is not None:
                values[n, slot], mask[n, slot] = value, 1.0
    x = np.concatenate([np.clip(values, -CLIP, CLIP), mask], axis=1)
    reach = int(about.get("kernel", 1)) ** len(network)
    before = np.zeros((reach - 1, x.shape[1]), dtype=np.float32)  # what came before is not known
    windows = np.arange(len(rows))[:, None] + np.arange(reach)
    x = np.concatenate([before, x])[windows]
    for n, (weight, bias) in enumerate(network):
        x = x.reshape(-1, weight.shape[1]) @ weight.T + bias
        if n + 1 < len(network):
            if about["activation"] == "elu":
                x = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
            else:
                x = np.maximum(x, 0)
    left = [
        [float(v - r) if m else None for v, r, m in zip(*three)]
        for three in zip(values, x, mask)
    ]
    json.dump(left, sys.stdout)


if __name__ == "__main__":
    main()
