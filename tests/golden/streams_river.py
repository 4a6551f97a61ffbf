#!/usr/bin/env python3
"""Golden values of streams that are watched, by river 0.22: streams_river.json beside this file.

    pip install river==0.22.0 && python tests/golden/streams_river.py

The streams are made by the generator of FORMULAS section 4, so that the test makes them again.
"""

import json
import pathlib

from river.drift import PageHinkley
from river.drift.adwin_c import AdaptiveWindowing


def generated(seed, n):
    x = seed
    for _ in range(n):
        x = (1103515245 * x + 12345) % 2**31
        yield x / 2**31 - 0.5


def stream(seed, n, at, shift):
    return [value + (shift if i >= at else 0.0) for i, value in enumerate(generated(seed, n))]


def cases():
    for seed, n, at, shift in ((1, 400, 200, 0.3), (2, 400, 400, 0.0), (3, 1000, 700, 0.6), (4, 120, 60, 1.0), (5, 3000, 1000, 0.2)):
        values = stream(seed, n, at, shift)
        for delta, threshold, alpha, least in ((0.005, 5.0, 1.0, 5), (0.15, 4.0, 1.0, 30), (0.05, 8.0, 0.9999, 30)):
            test = PageHinkley(min_instances=least, delta=delta, threshold=threshold, alpha=alpha, mode="up")
            fired = None
            for i, value in enumerate(values):
                test.update(value)
                if test.drift_detected:
                    fired = i + 1
                    break
            yield {
                "test": "page-hinkley",
                "stream": [seed, n, at, shift],
                "settings": [delta, threshold, alpha, least],
                "fired_at": fired,
                "statistic": test._sum_increase - test._min_increase,
            }
        for delta, clock in ((0.002, 32), (0.05, 8), (0.2, 1)):
            window = AdaptiveWindowing(delta=delta, clock=clock)
            cuts = [i + 1 for i, value in enumerate(values) if window.update(value)]
            yield {
                "test": "adwin",
                "stream": [seed, n, at, shift],
                "settings": [delta, clock],
                "cut_at": cuts,
                "width": window.get_width(),
                "mean": window.get_total() / window.get_width(),
            }


if __name__ == "__main__":
    with open(pathlib.Path(__file__).with_suffix(".json"), "w") as file:
        json.dump(list(cases()), file, indent=1)
        file.write("\n")
