"""Markets that go through all of aifx, for the gate's honesty: half of them without an edge, where every promoted change is
wrong, half with a regime that begins after production was trained, where a candidate that knows it is right. One JSON
document on stdout."""

import argparse
import concurrent.futures
import datetime
import json
import math
import pathlib
import shutil
import sys
import tempfile
import textwrap

import settings
from common import LINE, ROOT, Home, instant, say, shown

START = instant("2025-03-02T01:00:00Z")  # a Sunday
WEEKS = 12
CHANGES = 3
EDGE = 2  # about 62 % of directions for who knows all
# A small model of few days, so that many markets go through real training; the rest of the line is as `init` writes it.
CHANGES = {
    "lookback": "24", "model.dense": "8", "model.dropout": "[0.1, 0.1, 0.1]", "weekly.days": "90", "weekly.epochs": "12",
    "weekly.min_samples": "300",
}  # fmt: skip


class OneThread(Home):
    def environment(self):
        return super().environment() | {"AIFX_THREADS": "1"}


def wilson(hits, n, z=1.959963984540054):
    if n == 0:
        return None
    p = hits / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return {"n_hits": hits, "n": n, "share": p, "low": max(low, 0.0), "high": min(high, 1.0)}


def pairs(market):
    return [f"M{market:03}{letter}/USD" for letter in "ABCDE"]


def write_config(home, shipped, markets, hidden):
    """The shipped line once for each market; what deviates, but for names and pairs."""
    changes = CHANGES | {"model.hidden": f"[{hidden}, 8]"}
    head, lines, block = shipped.partition("\nlines:\n")
    text, deviates = head + lines, {}
    for k in range(markets):
        changed = {f"{LINE}.{key}": value for key, value in (changes | {"pairs": f"[{', '.join(pairs(k))}]"}).items()}
        own, deviates = settings.set_keys(textwrap.dedent(block), changed)
        text += textwrap.indent(own.replace(f"{LINE}:\n", f"m{k:03}:\n", 1), "  ")
    (home.folder / "aifx.yaml").write_text(text)
    return {key.removeprefix(f"{LINE}."): value for key, value in deviates.items() if key != f"{LINE}.pairs"}


def simulate(home, market, candles, edge, seed, end):
    home.run("simulate", "--line", f"m{market:03}", "--pairs", ",".join(pairs(market)), "--candles", candles, "--edge", edge,
             "--seed", seed, "--end", shown(end))  # fmt: skip


def weekly(home, market, at):
    return home.run("train-weekly", "--line", f"m{market:03}", at=at)[1]


def begin(home, market, seed):
    """A market without an edge up to the start, and a first version in production that has nothing to know."""
    simulate(home, market, 2200, 0, seed + market, START)
    first = weekly(home, market, START)
    if not first["promoted"]:
        home.run("promote", first["version"], "--line", f"m{market:03}", "--force", "--reason", "the experiment begins", at=START)


def regime(home, market, seed):
    """Days until a candidate that learned the new regime is in production; None after 90."""
    end = START + datetime.timedelta(days=7 * WEEKS + 5)
    # Fewer candles than 90 days hold, so that none lies before the start.
    simulate(home, market, 1500, EDGE, 10_000 + seed + market, end)
    for week in range(1, WEEKS + 1):
        at = START + datetime.timedelta(days=7 * week)
        document = weekly(home, market, at)
        if document["promoted"]:
            return 7 * week
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markets", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--aifx", default=str(ROOT / "target" / "release" / "aifx"))
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aifx-gate-"))
    home = OneThread(folder, options.aifx)
    flat = list(range(options.markets // 2))
    turning = list(range(options.markets // 2, options.markets))
    try:
        home.run("init")
        shipped = (home.folder / "aifx.yaml").read_text()
        deviates = write_config(home, shipped, options.markets, 16)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda market: begin(home, market, options.seed), flat + turning))
            say(f"{options.markets} markets have a first version")
            # The flat ones go on without an edge.
            for market in flat:
                simulate(home, market, 500, 0, 20_000 + options.seed + market, START + datetime.timedelta(days=7 * CHANGES + 5))
            days = list(pool.map(lambda market: regime(home, market, options.seed), turning))
            say(f"new regimes, days until promotion: {days}")
            decisions = wrong = 0
            for change in range(1, CHANGES + 1):
                write_config(home, shipped, options.markets, 16 + 4 * change)
                at = START + datetime.timedelta(days=7 * change)
                documents = list(pool.map(lambda market: weekly(home, market, at), flat))
                decisions += sum(document["gate"]["passed"] is not None for document in documents)
                wrong += sum(bool(document["promoted"]) for document in documents)
            say(f"changes without an edge: {wrong} of {decisions} promoted")
    finally:
        home.run("db", "stop", allowed=range(256))
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({
        "markets": options.markets,
        "deviates": deviates,
        "wrong_changes": wilson(wrong, decisions),
        "right_refreshes": wilson(sum(day is not None for day in days), len(days)),
        "days_to_promotion": days,
    }))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
