"""What the model learns of a market whose best possible prediction is known: on a clear edge it should close at least
70 % of the gap from the majority class to the best predictor, without an edge and on shuffled labels it should score at
chance. One JSON line a market; the trained model's figures are those of its test part, which it has not seen."""

import json
import os
import shutil
import subprocess
import tempfile

from common import AIFX, note

AS_OF = "2025-10-19T00:00:00Z"


def aifx(home, *arguments):
    command = [str(AIFX), "--home", home, "--as-of", AS_OF, "--json", "--quiet", *arguments]
    environment = {"HOME": home, "PATH": "/usr/bin:/bin"}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def market(edge, seed, shuffled=False, candles=4000):
    home = tempfile.mkdtemp(prefix="aifx-edge-")
    try:
        aifx(home, "init")
        made = aifx(home, "simulate", "--edge", str(edge), "--seed", str(seed), "--candles", str(candles), "--end", AS_OF)
        flags = ["--shuffle-labels"] if shuffled else []
        trained = aifx(home, "train-weekly", "--days", "150", *flags)
        test, majority = trained["test"], trained["baselines"]["majority"]
        best = made["bayes"]["label"]
        line = {
            "bench": "shuffled_labels" if shuffled else "learned_edge",
            "edge": edge,
            "seed": seed,
            "n": test["n"],
            "days": test["n_days"],
            "bayes_direction": made["bayes_accuracy"],
            "bayes_label": best,
            "accuracy": test["accuracy"],
            "majority_accuracy": majority["accuracy"],
            "log_loss": test["log_loss"],
            "majority_log_loss": majority["log_loss"],
            "load1": os.getloadavg()[0],
        }
        if edge > 0 and not shuffled:
            gap = best - majority["accuracy"]
            line["gap_closed"] = (test["accuracy"] - majority["accuracy"]) / gap
            line["must"] = 0.7
        else:
            # Three standard errors of an accuracy over samples that overlap four times.
            noise = 3 * (majority["accuracy"] * (1 - majority["accuracy"]) / (test["n"] / 4)) ** 0.5
            line["difference"] = test["accuracy"] - majority["accuracy"]
            line["noise"] = noise
        print(json.dumps(line), flush=True)
    finally:
        subprocess.run([str(AIFX), "--home", home, "--quiet", "db", "stop"], stdout=subprocess.DEVNULL)
        shutil.rmtree(home, ignore_errors=True)


def main():
    for seed in (1, 2, 3):
        market(1.0, seed)
    market(0.0, 1)
    market(0.0, 2)
    market(1.0, 1, shuffled=True)
    note("edge: bayes_label is over the whole market, the other figures over the test part")


main()
