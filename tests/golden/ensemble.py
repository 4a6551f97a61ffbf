"""Writes tests/golden/ensemble.json: five days of a mixture of three networks, worked out with numpy alone."""

import json
import pathlib

import numpy as np

CONFIG = {"members": 8, "rate": 0.25, "share": 0.05, "entry": 0.3, "prior": 0.2, "first": 2}


def main():
    names = ["prior", "v1.0", "v1.1"]
    weights = np.array([0.2, 0.4, 0.4])
    losses = np.zeros(3)
    # Probabilities that each gave to the class that came true; the third network joins on the third day and is silent once.
    days = [
        [[0.35, 0.40, 0.30], [0.33, 0.50, 0.20]],
        [[0.32, 0.10, 0.45]],
        [[0.35, 0.40, 0.30, 0.60], [0.30, 0.25, 0.35, None], [0.38, 0.30, 0.30, 0.55]],
        [[0.34, 0.05, 0.50, 0.70]],
        [[0.33, 0.45, 0.40, 0.01], [0.33, 0.45, 0.40, 0.02]],
    ]
    out = []
    for rows in days:
        if len(rows[0]) > len(names):
            names = [*names, "v1.2"]
            weights = np.append(weights * (1 - CONFIG["entry"]), CONFIG["entry"])
            losses = np.append(losses, 0.0)
        answers = []
        gains = np.zeros(len(names))
        for row in rows:
            known = np.array([p is not None for p in row])
            p = np.array([0.0 if q is None else q for q in row])
            mixture = float((weights * p)[known].sum() / weights[known].sum())
            gains += np.log(np.where(known, p, mixture))
            answers.append({
                "of_components": [[name, q] for name, q in zip(names, row) if q is not None],
                "of_mixture": mixture,
            })  # fmt: skip
        powers = weights * np.exp(CONFIG["rate"] * gains)
        weights = (1 - CONFIG["share"]) * powers / powers.sum() + CONFIG["share"] / len(names)
        losses = losses - gains
        out.append({"members": names[1:], "answers": answers, "weights": weights.tolist(), "losses": losses.tolist()})
    path = pathlib.Path(__file__).with_name("ensemble.json")
    path.write_text(json.dumps({"config": CONFIG, "days": out}, indent=1) + "\n")


if __name__ == "__main__":
    main()
