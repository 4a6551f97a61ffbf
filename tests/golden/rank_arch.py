"""Golden values of the model confidence set: p-values of `arch`, with many more resamples than aifx takes, so that what
differs is the noise of one side.

Writes rank.csv beside itself: seed, days, mean block, shift of each version, p of each version. Made with arch 8.0.0:

    pip install arch && python tests/golden/rank_arch.py
"""

import csv
import pathlib

import numpy as np
from arch.bootstrap import MCS

# What is added to each version's daily losses.
CASES = (
    (51, 22, 2, (0.0, 0.0, 0.0)),
    (52, 22, 3, (0.0, 0.1, 0.2, 0.3)),
    (53, 13, 1, (0.0, 0.2)),
    (54, 60, 4, (0.0, 0.02, 0.05, 0.1, 0.0, 0.15)),
    (55, 8, 2, (0.0, 0.5, 0.1)),
)


def generated(seed, n):
    """The generator of FORMULAS, so that the other side needs no file of values."""
    x, values = seed, []
    for _ in range(n):
        x = (1103515245 * x + 12345) % 2**31
        values.append(x / 2**31 - 0.5)
    return np.array(values)


def main():
    with open(pathlib.Path(__file__).with_name("rank.csv"), "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["seed", "days", "block", "shifts", "p"])
        for seed, n_days, block, shifts in CASES:
            # Version by version; a market that all of them share is added to each day.
            values = generated(seed, n_days * (len(shifts) + 1)).reshape(len(shifts) + 1, n_days)
            losses = np.column_stack([values[0] + 0.5 * values[1 + i] + shift for i, shift in enumerate(shifts)])
            mcs = MCS(losses, size=0.1, reps=200_000, block_size=block, method="max", bootstrap="stationary", seed=1)
            mcs.compute()
            p = mcs.pvalues.sort_index()["Pvalue"]
            join = lambda values: " ".join(str(value) for value in values)
            writer.writerow([seed, n_days, block, join(shifts), join(round(float(value), 6) for value in p)])


if __name__ == "__main__":
    main()
