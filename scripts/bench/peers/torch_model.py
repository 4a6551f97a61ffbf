"""The reference network in PyTorch as its users write it: training, one sample, and a history of windows.

Usage: torch_model.py fit FOLDER BATCH THREADS EPOCHS | single FOLDER CALLS | history FOLDER THREADS REPEATS | logits FOLDER.
FOLDER is what `benches/model.rs prepare` wrote. One JSON line comes out.
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn

LOOKBACK, FEATURES = 60, 38


def part(folder, name):
    values = np.fromfile(folder / "values.f32", dtype=np.float32).reshape(-1, FEATURES)
    rows = np.fromfile(folder / f"{name}.rows.u32", dtype=np.uint32).astype(np.int64)
    classes = np.fromfile(folder / f"{name}.classes.u8", dtype=np.uint8).astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(values, LOOKBACK, axis=0)[rows + 1 - LOOKBACK]
    return torch.from_numpy(np.ascontiguousarray(windows.transpose(0, 2, 1))), torch.from_numpy(classes)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm0 = nn.LSTM(FEATURES, 128, batch_first=True)
        self.lstm1 = nn.LSTM(128, 64, batch_first=True)
        self.dense = nn.Linear(64, 32)
        self.out = nn.Linear(32, 3)
        self.drop = nn.ModuleList([nn.Dropout(0.3), nn.Dropout(0.3), nn.Dropout(0.2)])

    def forward(self, x):
        x = self.drop[0](self.lstm0(x)[0])
        x = self.drop[1](self.lstm1(x)[0][:, -1])
        return self.out(self.drop[2](torch.relu(self.dense(x))))


def loaded(folder):
    from safetensors.torch import load_file

    net = Net()
    net.load_state_dict(load_file(folder / "weights.safetensors"))
    return net.eval()


def fit(folder, batch, threads, epochs):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    x, y = part(folder, "train")
    x_validation, y_validation = part(folder, "validation")
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    weight = (len(y) / (3 * torch.bincount(y, minlength=3))).float()
    loss_of = nn.CrossEntropyLoss(weight=weight)
    rates, losses = [], []
    for _ in range(epochs):
        net.train()
        order, start = torch.randperm(len(y)), None
        for i in range(0, len(y), batch):
            index = order[i : i + batch]
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(net(x[index]), y[index])
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            loss.item()
            start = start or time.perf_counter()
        rates.append((len(y) - batch) / (time.perf_counter() - start))
        net.eval()
        with torch.no_grad():
            logits = torch.cat([net(x_validation[i : i + 256]) for i in range(0, len(y_validation), 256)])
            # As the market has them: without the weights that training gives rare classes.
            losses.append(nn.functional.cross_entropy(logits - weight.log(), y_validation).item())
    return {"samples_per_s": rates, "validation_loss": losses}


def single(folder, calls):
    torch.set_num_threads(1)
    x, _ = part(folder, "train")
    with torch.no_grad():
        net = torch.jit.freeze(torch.jit.trace(loaded(folder), x[:1]))
        seconds = []
        for i in range(calls + 50):
            window = x[i % len(x)][None]
            start = time.perf_counter()
            torch.softmax(net(window), 1)
            if i >= 50:
                seconds.append(time.perf_counter() - start)
    seconds.sort()
    return {"p50_ms": 1e3 * seconds[calls // 2], "p99_ms": 1e3 * seconds[calls * 99 // 100]}


def history(folder, threads, repeats):
    torch.set_num_threads(threads)
    x, _ = part(folder, "train")
    rates = []
    with torch.no_grad():
        net = torch.jit.freeze(torch.jit.trace(loaded(folder), x[:1]))
        for _ in range(repeats + 1):
            start = time.perf_counter()
            for i in range(0, len(x), 256):
                net(x[i : i + 256])
            rates.append(len(x) / (time.perf_counter() - start))
    return {"samples_per_s": rates[1:]}


def logits(folder):
    """Largest difference from this side's answers."""
    x, _ = part(folder, "train")
    ours = np.fromfile(folder / "train.logits.f32", dtype=np.float32).reshape(-1, 3)
    with torch.no_grad():
        net = loaded(folder)
        theirs = torch.cat([net(x[i : i + 256]) for i in range(0, len(x), 256)]).numpy()
    return {"difference": float(np.abs(ours - theirs).max()), "n": len(ours)}


if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    call = {"fit": fit, "single": single, "history": history, "logits": logits}[command]
    print(json.dumps(call(pathlib.Path(folder), *map(int, rest))))
