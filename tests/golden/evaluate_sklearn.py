"""Golden classification figures: what scikit-learn, scipy and numpy make of seeded logits.

Writes evaluate.json beside itself: logits (rounded to what 32 bits hold exactly), true classes, and the figures. Made
with numpy 2.4.6, scipy 1.17.1 and scikit-learn 1.9.1:

    pip install numpy scipy scikit-learn && python tests/golden/evaluate_sklearn.py
"""

import json
import pathlib
import warnings

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn import metrics

# A class that is never answered has precision 0, which scikit-learn takes care to mention.
warnings.filterwarnings("ignore")


def ece(confidence, right, n_bins=15):
    """Right-closed bins of equal width (Naeini et al. 2015)."""
    edges = np.linspace(0, 1, n_bins + 1)
    total = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return total


def case(seed, n, n_classes, scale, unseen_class=None):
    random = np.random.default_rng(seed)
    truth = random.integers(0, n_classes, n)
    if unseen_class is not None:
        truth[truth == unseen_class] = 0
        # The class that is never answered is rare, or no temperature below the bound would be the best.
        truth[(truth == n_classes - 1) & (np.arange(n) % 10 > 0)] = 0
    logits = scale * random.standard_normal((n, n_classes))
    logits[np.arange(n), truth] += 0.7 * scale
    if unseen_class is not None:
        logits[:, n_classes - 1] -= 6.0
    logits = np.round(logits * 64) / 64
    probabilities = softmax(logits, axis=1)
    answer = probabilities.argmax(axis=1)
    one_hot = np.eye(n_classes)[truth]
    clipped = np.clip(probabilities[np.arange(n), truth], 1e-7, 1)
    loss = lambda ln_t: -log_softmax(logits / np.exp(ln_t), axis=1)[np.arange(n), truth].mean()
    found = minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-12})
    # The search on values stops at the square root of their precision; the root of the slope does not.
    slope = lambda ln_t: (
        logits[np.arange(n), truth] - (softmax(logits / np.exp(ln_t), axis=1) * logits).sum(axis=1)
    ).mean()
    ln_t = brentq(slope, -3, 3, xtol=1e-14)
    assert abs(ln_t - found.x) < 1e-4, (ln_t, found.x)
    labels = sorted(set(truth) | set(answer))
    average = dict(labels=labels, average="macro", zero_division=0)
    if unseen_class is None:
        assert abs(clipped.min()) > 1e-7
        assert np.isclose(metrics.log_loss(truth, probabilities), -np.log(clipped).mean())
    return {
        "n_classes": n_classes,
        "logits": logits.ravel().tolist(),
        "truth": truth.tolist(),
        "accuracy": metrics.accuracy_score(truth, answer),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, answer),
        "log_loss": float(-np.log(clipped).mean()),
        "brier": float(((probabilities - one_hot) ** 2).sum(axis=1).mean()),
        "macro_precision": metrics.precision_score(truth, answer, **average),
        "macro_recall": metrics.recall_score(truth, answer, **average),
        "macro_f1": metrics.f1_score(truth, answer, **average),
        "ece": float(ece(probabilities.max(axis=1), answer == truth)),
        "classwise_ece": float(np.mean([ece(probabilities[:, c], truth == c) for c in range(n_classes)])),
        "ln_temperature": float(ln_t),
    }


if __name__ == "__main__":
    # Three and four classes; a boastful and a timid model; a class that never occurs, and one that is never answered.
    cases = [case(1, 200, 3, 3.0), case(2, 300, 4, 0.5), case(3, 150, 2, 1.5), case(4, 120, 4, 1.0, unseen_class=1)]
    path = pathlib.Path(__file__).with_name("evaluate.json")
    path.write_text("[\n" + ",\n".join(json.dumps(one) for one in cases) + "\n]\n")
