"""Golden support: dissimilarity index and area-of-applicability threshold by scikit-learn, scipy and numpy.

Writes support.json beside itself. Rows come from the generator of FORMULAS in single precision, reference rows are every
k-th. Made with numpy 2.2.6, scipy 1.17.1 and scikit-learn 1.9.1:

    pip install numpy scipy scikit-learn && python tests/golden/support_sklearn.py
"""

import json
import pathlib

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.neighbors import NearestNeighbors


def generated(seed, n):
    x, values = seed, []
    for _ in range(n):
        x = (1103515245 * x + 12345) % 2**31
        values.append(x / 2**31 - 0.5)
    return np.array(values, dtype=np.float32).astype(np.float64)


def nearest(among, asked):
    return NearestNeighbors(n_neighbors=1, algorithm="brute").fit(among).kneighbors(asked)[0][:, 0]


def case(n_rows, n_features, rows_a_day, seed, every, asked_seed, n_asked):
    rows = generated(seed, n_rows * n_features).reshape(n_rows, n_features)
    medoids = np.arange(0, n_rows, every)
    day = np.arange(n_rows) // rows_a_day
    mean_distance = pdist(rows).mean()
    # Each row from the reference rows of all days but its own and its neighbours.
    index = np.array(
        [nearest(rows[medoids[abs(day[medoids] - day[row]) > 1]], rows[[row]])[0] for row in range(n_rows)]
    ) / mean_distance
    low, high = np.quantile(index, [0.25, 0.75])
    threshold = index[index <= high + 1.5 * (high - low)].max()
    beyond = index > threshold
    weeks = [beyond[(day >= first) & (day < first + 5)].mean() for first in range(day[-1] - 3)]
    asked = generated(asked_seed, n_asked * n_features).reshape(n_asked, n_features)
    return {
        "n_rows": n_rows,
        "n_features": n_features,
        "rows_a_day": rows_a_day,
        "seed": seed,
        "medoids": medoids.tolist(),
        "mean_distance": mean_distance,
        "threshold": threshold,
        "share_beyond": beyond.mean(),
        "worst_week": max(weeks),
        "asked_seed": asked_seed,
        "dissimilarity": (nearest(rows[medoids], asked) / mean_distance).tolist(),
    }


if __name__ == "__main__":
    cases = [
        case(240, 3, 12, 12345, 7, 99, 20),
        case(150, 12, 15, 4711, 5, 98, 20),
        case(500, 2, 24, 31, 40, 97, 20),
    ]
    for one in cases:
        print(one["threshold"], one["share_beyond"], one["worst_week"])
    path = pathlib.Path(__file__).with_name("support.json")
    path.write_text(json.dumps(cases, indent=1) + "\n")
