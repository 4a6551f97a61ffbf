"""Golden estimates of answers without labels: confidence-based estimation in plain numpy.

Writes estimate.json beside itself: settled answers (weekday, truth, probabilities), pending ones (weekday, probabilities), and
what is expected of these, with three standard errors either way. Weekdays are counted from Monday, 1 January 2024.
Made with numpy 2.2.6:

    pip install numpy && python tests/golden/estimate_numpy.py
"""

import json
import pathlib

import numpy as np


def entropy(p):
    return -(p * np.log(np.clip(p, 1e-7, None))).sum(axis=1)


def calendar_day(weekday):
    return weekday // 5 * 7 + weekday % 5


def case(seed, n_classes, n_settled_days, n_pending_days, a_day, horizon_days):
    random = np.random.default_rng(seed)
    draw = lambda n: random.dirichlet(np.ones(n_classes), n)
    day = np.repeat(np.arange(n_settled_days), a_day)
    p = draw(len(day))
    truth = np.array([random.choice(n_classes, p=row) for row in p])
    hit = (p.argmax(axis=1) == truth).astype(float)
    loss = -np.log(np.clip(p[np.arange(len(p)), truth], 1e-7, 1))
    by_day = lambda values: np.array([values[day == d].mean() for d in range(n_settled_days)])
    hit_off, loss_off = by_day(hit - p.max(axis=1)), by_day(loss - entropy(p))

    pending_day = np.repeat(np.arange(n_settled_days, n_settled_days + n_pending_days), a_day)
    q = draw(len(pending_day))
    apart = (calendar_day(pending_day[-1]) - calendar_day(pending_day[0])) / (n_pending_days - 1)
    effective = max(n_pending_days / max(horizon_days / apart, 1), 1)

    def figure(value, off, high):
        error = 3 * off.std(ddof=1) / np.sqrt(effective)
        return [value, max(value - error, 0.0), min(value + error, high)]

    confusion = np.zeros((n_classes, n_classes))
    for row in q:
        confusion[:, row.argmax()] += row
    return {
        "n_classes": n_classes,
        "horizon_days": horizon_days,
        "settled": [[int(d), int(t), row.tolist()] for d, t, row in zip(day, truth, p)],
        "pending": [[int(d), row.tolist()] for d, row in zip(pending_day, q)],
        "accuracy": figure(q.max(axis=1).mean(), hit_off, 1.0),
        "log_loss": figure(entropy(q).mean(), loss_off, 1e300),
        "accuracy_off": hit_off.mean(),
        "confusion": confusion.tolist(),
    }


if __name__ == "__main__":
    cases = [case(1, 3, 12, 7, 4, 1), case(2, 3, 9, 5, 6, 7), case(3, 2, 6, 11, 3, 2)]
    path = pathlib.Path(__file__).with_name("estimate.json")
    path.write_text(json.dumps(cases) + "\n")
    for one in cases:
        print(one["accuracy"], one["log_loss"])
