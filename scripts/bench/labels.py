"""Labels by the clock beside numpy.searchsorted and pandas.merge_asof, the triple barrier beside numpy slices.

One million minute candles, five pairs of 200,000 with weekends, from a seed. Classes and forward returns are compared before timing counts.
"""

import json
import pathlib
import statistics
import sys
import tempfile

import numpy as np
import pandas as pd

import common

MINUTE_US = 60_000_000
HORIZON_US = 5 * MINUTE_US
PAIRS = 5
N = 200_000
THRESHOLD = 0.0005
BARRIER = 0.0006
NO_CLASS = 255


def candles(n, step_us, seed):
    """Opening instants (Sunday 22:00 to Friday 22:00 UTC) and prices of n candles."""
    per_week = 120 * 3_600_000_000 // step_us
    week, place = np.divmod(np.arange(n), per_week)
    sunday = 1_263_160_800_000_000  # 2010-01-10T22:00Z
    open_at = sunday + week * 7 * 86_400_000_000 + place * step_us
    random = np.random.default_rng(seed)
    scale = 0.0002 * np.sqrt(step_us / MINUTE_US)
    close = np.exp(np.cumsum(random.normal(0, scale, n)))
    open_ = np.concatenate([[1.0], close[:-1]])
    high = np.maximum(open_, close) * (1 + np.abs(random.normal(0, scale / 2, n)))
    low = np.minimum(open_, close) * (1 - np.abs(random.normal(0, scale / 2, n)))
    return open_at, open_, high, low, close


def by_searchsorted(close_at, close):
    until = close_at + HORIZON_US
    exit_row = np.searchsorted(close_at, until, side="right") - 1
    exists = (exit_row > np.arange(len(close))) & (until <= close_at[-1])
    forward = np.where(exists, close[exit_row] / close - 1.0, np.nan)
    classes = np.where(forward > THRESHOLD, 2, np.where(forward < -THRESHOLD, 0, 1)).astype(np.uint8)
    classes[~exists] = NO_CLASS
    return classes, forward


def by_merge_asof(frame):
    """`frame` holds all pairs in order of time, as a query would give them."""
    entries = pd.DataFrame({
        "pair": frame["pair"],
        "at": frame["closed"] + pd.Timedelta(microseconds=HORIZON_US),
        "entry": frame["close"],
        "entered": frame["closed"],
    })
    exits = pd.DataFrame({"pair": frame["pair"], "at": frame["closed"], "exit": frame["close"],
                          "exited": frame["closed"]})
    both = pd.merge_asof(entries, exits, on="at", by="pair")
    exists = (both["exited"] > both["entered"]) & (both["at"] <= frame["closed"].iloc[-1])
    forward = (both["exit"] / both["entry"] - 1.0).where(exists).to_numpy()
    classes = np.where(forward > THRESHOLD, 2, np.where(forward < -THRESHOLD, 0, 1)).astype(np.uint8)
    classes[~exists.to_numpy()] = NO_CLASS
    return classes, forward


def by_slices(close_at, open_, high, low, close):
    """One slice of highs and lows a label; both barriers in one candle: hold, unless it opened beyond one."""
    n = len(close)
    until = close_at + HORIZON_US
    last = np.searchsorted(close_at, until, side="right") - 1
    classes = np.full(n, NO_CLASS, np.uint8)
    for row in np.flatnonzero((last > np.arange(n)) & (until <= close_at[-1])):
        upper, lower = close[row] * (1 + BARRIER), close[row] * (1 - BARRIER)
        span = slice(row + 1, last[row] + 1)
        up, down = high[span] >= upper, low[span] <= lower
        touched = up | down
        first = touched.argmax()
        if not touched[first]:
            classes[row] = 1
        elif up[first] and down[first]:
            opened = open_[row + 1 + first]
            classes[row] = 2 if opened >= upper else 0 if opened <= lower else 1
        else:
            classes[row] = 2 if up[first] else 0
    return classes


def main():
    common.keep_freed_memory()
    binary = common.bench_binary("labels")
    pairs = [candles(N, MINUTE_US, seed) for seed in range(PAIRS)]
    closes = [(open_at + MINUTE_US, close) for open_at, _, _, _, close in pairs]
    frame = pd.concat(
        pd.DataFrame({"pair": f"PAIR{k}", "closed": pd.to_datetime(at, unit="us"), "close": close})
        for k, (at, close) in enumerate(closes)
    )
    place = np.argsort(frame["closed"].to_numpy(), kind="stable")
    frame = frame.iloc[place].reset_index(drop=True)

    def by_pair(label):
        return [np.concatenate(column) for column in zip(*(label(*pair) for pair in closes))]

    def by_frame():
        ordered = by_merge_asof(frame)
        columns = [np.empty_like(column) for column in ordered]
        for column, values in zip(columns, ordered):
            column[place] = values
        return columns

    def slices():
        return np.concatenate([by_slices(at + MINUTE_US, *prices) for at, *prices in pairs])

    n = N * PAIRS
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, "candles"), pathlib.Path(folder, "labels")
        with source.open("wb") as file:
            for column in (column for pair in pairs for column in pair):
                column.tofile(file)

        def ours(rule):
            """Classes, forward returns, and a function that gives labels a second."""
            command = [binary, "1min", rule, N, PAIRS, source, target]

            def rate(repeats=11):
                return n / statistics.median(json.loads(common.run([*command, repeats])))

            rate(1)
            raw = target.read_bytes()
            return np.frombuffer(raw, np.uint8, n), np.frombuffer(raw, np.float64, n, n), rate

        def reference(call, repeats):
            return lambda: n / statistics.median(common.timed(call) for _ in range(repeats))

        classes, forward, rate = ours(f"fixed:{THRESHOLD}")
        # What puts the answers back in order for the comparison is not timed.
        for name, answers, call, repeats, must, stretch in [
            ("numpy searchsorted", lambda: by_pair(by_searchsorted), lambda: [by_searchsorted(*pair) for pair in closes],
             7, 5, 10),
            ("pandas merge_asof", by_frame, lambda: by_merge_asof(frame), 3, 20, None),
        ]:
            expected = answers()
            if not (np.array_equal(classes, expected[0]) and np.array_equal(forward, expected[1], True)):
                sys.exit(f"error: labels differ from {name}")
            figures = common.alternate(rate, reference(call, repeats))
            common.emit("labels_by_the_clock", "labels/s", *figures, name, must, stretch, threads=1,
                        checked="classes and forward returns, bit for bit")

        classes, _, rate = ours(f"triple-barrier:{BARRIER}:{BARRIER}")
        if not np.array_equal(classes, slices()):
            sys.exit("error: triple-barrier labels differ from numpy slices")
        figures = common.alternate(rate, reference(slices, 1))
        common.emit("labels_by_triple_barrier", "labels/s", *figures, "numpy slices", 50, 100, threads=1,
                    checked=f"classes, all {n}")

        _, _, rate = ours("volatility:1")
        common.emit("labels_by_volatility", "labels/s", [rate() for _ in range(3)], None, None, threads=1)


main()
