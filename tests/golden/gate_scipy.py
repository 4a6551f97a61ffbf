"""Golden values of the gate: what scipy makes of generated daily differences, and LOND's levels from its definition.

Writes gate.csv beside itself: a name, its arguments, the expected value. Made with scipy 1.17.1:

    pip install scipy && python tests/golden/gate_scipy.py
"""

import csv
import math
import pathlib
from fractions import Fraction

import numpy as np
from scipy import stats


def generated(seed, n):
    """The generator of FORMULAS, so that the other side needs no file of values."""
    x, values = seed, []
    for _ in range(n):
        x = (1103515245 * x + 12345) % 2**31
        values.append(x / 2**31 - 0.5)
    return np.array(values)


def rows():
    # Javanmard & Montanari (2015): alpha_k = q gamma_k (D + 1), gamma summing to 1.
    for q, k, promotions in ((0.1, 1, 0), (0.1, 2, 0), (0.1, 2, 1), (0.1, 10, 3), (0.05, 52, 0), (0.1, 417, 12)):
        share = float(Fraction(6 * (promotions + 1), k * k))
        yield "lond", (q, k, promotions), q * share / math.pi**2
    for seed, n, shift, margin, alpha in (
        (41, 5, 0.0, 0.0, 0.05),
        (42, 5, 0.2, 0.01, 0.05),
        (43, 7, -0.1, 0.3, 0.05),
        (44, 13, 0.15, 0.0, 0.0152),
        (45, 13, -0.3, 0.0, 0.05),
        (46, 30, 0.1, 0.02, 0.05),
        (47, 30, 0.4, 0.0, 1e-5),
        (48, 250, 0.02, 0.0, 0.001),
    ):
        days = generated(seed, n) + shift
        case = (seed, n, shift, margin, alpha)
        yield "p", case, stats.ttest_1samp(days, -margin, alternative="greater").pvalue
        yield "p_worse", case, stats.ttest_1samp(days, 0.0, alternative="less").pvalue
        interval = stats.ttest_1samp(days, 0.0).confidence_interval(1 - 2 * alpha)
        yield "low", case, interval.low
        yield "high", case, interval.high
        error, t = stats.sem(days), stats.t(n - 1)
        yield "detectable", case, (t.isf(alpha) + t.ppf(0.8)) * error - margin
        yield "power_of_0.1", case, t.sf(t.isf(alpha) - (0.1 + margin) / error)
        if days.mean() + margin > 0:
            z = stats.norm.isf(alpha) + stats.norm.ppf(0.8)
            yield "days_needed", case, math.ceil((z * days.std(ddof=1) / (days.mean() + margin)) ** 2)


if __name__ == "__main__":
    with open(pathlib.Path(__file__).with_name("gate.csv"), "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "arguments", "expected"])
        for name, arguments, expected in rows():
            writer.writerow([name, " ".join(repr(a) for a in arguments), repr(float(expected))])
