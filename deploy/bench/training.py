"""Trains the model of a file in Python's torch, as Glasshouse's `learn` does: Adam, mean squared error over what is
present, one thread.

    training.py MODEL.safetensors ROWS.f32

ROWS.f32 holds rows of [clipped values, mask] as little-endian f32, as wide as the model's input. For each line
`EPOCHS BATCH RATE` of the standard input the training starts from the file's parameters again; the answer is
`SECONDS LOSS`: of all steps together, and the loss over all rows after them.
"""

import pathlib
import sys
import time

import numpy as np
import torch

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "models"))
from residuals_torch import network  # noqa: E402

torch.set_num_threads(1)


def loss_of(model, rows):
    slots = rows.shape[1] // 2
    values, mask = rows[:, :slots], rows[:, slots:]
    error = (model(rows) - values) * mask
    return error.square().sum(dtype=torch.float64) / mask.sum(dtype=torch.float64)


def train(path, rows, epochs, batch, rate):
    model, _ = network(path)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    begin = time.perf_counter()
    for _ in range(epochs):
        for chosen in torch.randperm(len(rows)).split(batch):
            loss = loss_of(model, rows.index_select(0, chosen))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        return seconds, loss_of(model, rows).item()


def main():
    path = sys.argv[1]
    width = network(path)[0][0].in_features
    rows = torch.from_numpy(np.fromfile(sys.argv[2], dtype="<f4").reshape(-1, width))
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        epochs, batch, rate = line.split()
        print(*train(path, rows, int(epochs), int(batch), float(rate)), flush=True)


if __name__ == "__main__":
    main()
