#!/usr/bin/env python3
"""Rebuilds a published model from its directory with numpy and safetensors alone, and repeats its probe.

Usage: scripts/load_model.py models/fx-direction/v1.0

Of a version whose network answers together with others, the others are rebuilt from members/ as well, each with its own scaler,
and mixed by the weights of the day on which it was made. Exit 0 when every probability agrees (of a network alone to 1e-5, of
members and mixture to 1e-6), else 1."""

import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file


# Scaled features are cut at so many interquartile ranges.
CLIP = 10.0


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


def scaled(features, spec):
    """Windows of features as a network wants them."""
    scaler = spec["scaler"]
    values = (features - np.array(scaler["median"])) / np.array(scaler["iqr"])
    return np.clip(values, -CLIP, CLIP).astype(np.float32)


def of_members(folder, own):
    """The largest difference of any member, and of the mixture, from the probe of all together."""
    probe = load_file(folder / "members-probe.safetensors")
    parts = [np.broadcast_to(probe["prior"], probe["probabilities"].shape)]
    for place in own["members"]:
        member = place["version"]
        home = folder if member == own["version"] else folder / "members" / member
        spec = json.loads((home / "metadata.json").read_text())
        windows = probe["features"][:, -spec["lookback"] :]
        parts.append(probabilities(scaled(windows, spec), spec, load_file(home / "model.safetensors")))
    parts = np.stack(parts, axis=1)
    mixture = np.einsum("k,nkc->nc", probe["weights"], parts)
    return float(np.abs(parts - probe["parts"]).max()), float(np.abs(mixture - probe["probabilities"]).max())


def main():
    folder = pathlib.Path(sys.argv[1])
    spec = json.loads((folder / "metadata.json").read_text())
    probe = load_file(folder / "probe.safetensors")
    answers = probabilities(probe["inputs"], spec, load_file(folder / "model.safetensors"))
    difference = float(np.abs(answers - probe["probabilities"]).max())
    print(f"{spec['line']} {spec['version']}: {len(answers)} probes, largest difference {difference:.1e}")
    agrees = difference <= 1e-5
    if spec.get("members"):
        member, mixture = of_members(folder, spec)
        print(f"  {len(spec['members'])} members: largest difference {member:.1e}, of the mixture {mixture:.1e}")
        agrees = agrees and max(member, mixture) <= 1e-6
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
