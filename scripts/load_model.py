#!/usr/bin/env python3
"""Rebuilds a published model from its directory with numpy and safetensors alone, and repeats its probe.

Usage: scripts/load_model.py models/fx-direction/v1.0      exit 0 when every probability agrees to 1e-5, else 1."""

import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(steps, weights, layer):
    """All outputs of an LSTM over steps [batch, time, features]; gates in PyTorch's order: input, forget, cell, output."""
    take = lambda name: weights[f"lstm{layer}.{name}_l0"].astype(np.float64)
    w_in, w_rec, bias = take("weight_ih"), take("weight_hh"), take("bias_ih") + take("bias_hh")
    hidden = cell = np.zeros((len(steps), w_rec.shape[1]))
    outputs = []
    for t in range(steps.shape[1]):
        i, f, g, o = np.split(steps[:, t] @ w_in.T + hidden @ w_rec.T + bias, 4, axis=1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        outputs.append(hidden)
    return np.stack(outputs, axis=1)


def probabilities(scaled, spec, weights):
    """Probabilities [batch, classes] of scaled windows [batch, lookback, features]."""
    steps = scaled.astype(np.float64)
    for layer in range(len(spec["architecture"]["hidden"])):
        steps = lstm(steps, weights, layer)
    dense = np.maximum(steps[:, -1] @ weights["dense.weight"].T + weights["dense.bias"], 0)
    logits = (dense @ weights["out.weight"].T + weights["out.bias"]) / spec["temperature"]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def main():
    folder = pathlib.Path(sys.argv[1])
    spec = json.loads((folder / "metadata.json").read_text())
    probe = load_file(folder / "probe.safetensors")
    answers = probabilities(probe["inputs"], spec, load_file(folder / "model.safetensors"))
    difference = float(np.abs(answers - probe["probabilities"]).max())
    print(f"{spec['line']} {spec['version']}: {len(answers)} probes, largest difference {difference:.1e}")
    return 0 if difference <= 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
