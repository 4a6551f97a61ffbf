"""Golden labels: seeded hourly candles with weekends and holes, and what numpy and pandas make of them by brute force.

Writes labels.csv beside itself: the candles (timestamp = opening instant, microseconds UTC), the forward return and the
class by each rule, empty where there is none. Made with numpy 2.2.6 and pandas 2.3.3:

    pip install numpy pandas && python tests/golden/labels_numpy.py
"""

import pathlib
import zoneinfo

import numpy as np
import pandas as pd

NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
HOUR = pd.Timedelta(hours=1)
HORIZON = 4 * HOUR


def candles():
    """Six weeks around a change of New York's clocks, some hours missing, prices on a vendor's tick."""
    hours = pd.date_range("2024-02-18T22:00Z", "2024-03-29T21:00Z", freq="h", inclusive="left")
    local = hours.tz_convert(NEW_YORK)
    day, hour = local.weekday, local.hour
    is_open = (day < 4) | ((day == 4) & (hour < 17)) | ((day == 6) & (hour >= 17))
    random = np.random.default_rng(20240218)
    is_there = random.random(len(hours)) > 0.03
    is_there[300:309] = False
    frame = pd.DataFrame({"at": hours[is_open & is_there]})
    n = len(frame)
    scale = 1.5e-3 * np.exp(0.5 * np.sin(np.arange(n) / 50))
    close = 1.08 * np.exp(np.cumsum(scale * random.standard_normal(n)))
    frame["open"] = np.concatenate([[1.08], close[:-1]]) * np.exp(3e-4 * random.standard_normal(n))
    frame["close"] = close
    top, bottom = frame[["open", "close"]].max(axis=1), frame[["open", "close"]].min(axis=1)
    frame["high"] = top * np.exp(scale * np.abs(random.standard_normal(n)))
    frame["low"] = bottom * np.exp(-scale * np.abs(random.standard_normal(n)))
    frame[["open", "high", "low", "close"]] = frame[["open", "high", "low", "close"]].round(5)
    return frame


def three_classes(forward, threshold):
    classes = np.where(forward > threshold, 2.0, np.where(forward < -threshold, 0.0, 1.0))
    return np.where(np.isnan(forward) | np.isnan(threshold), np.nan, classes)


def exit_rows(closed):
    """By comparing every close with every horizon; -1 without a label."""
    exits = []
    for row, entered in enumerate(closed):
        within = np.flatnonzero((closed > entered) & (closed <= entered + HORIZON))
        exits.append(within[-1] if len(within) and closed.max() >= entered + HORIZON else -1)
    return np.array(exits)


def wins(frame, row, exit_row, take_profit, stop_loss, side):
    """The row in which a trade reaches its target before its stop, else infinity; doubt counts against it."""
    entry = frame["close"][row]
    for at in range(row + 1, exit_row + 1):
        gain = [side * (frame[column][at] / entry - 1) for column in ("open", "high", "low")]
        opened, best, worst = gain[0], max(gain), min(gain)
        if opened <= -stop_loss:
            return np.inf
        if opened >= take_profit:
            return at
        if worst <= -stop_loss:
            return np.inf
        if best >= take_profit:
            return at
    return np.inf


def triple_barrier(frame, exits, take_profit, stop_loss):
    classes = []
    for row, exit_row in enumerate(exits):
        if exit_row < 0:
            classes.append(np.nan)
            continue
        buy = wins(frame, row, exit_row, take_profit, stop_loss, 1)
        sell = wins(frame, row, exit_row, take_profit, stop_loss, -1)
        classes.append(1 if buy == sell else 2 if buy < sell else 0)
    return np.array(classes, float)


def main():
    frame = candles()
    exits = exit_rows(frame["at"] + HOUR)
    close = frame["close"].to_numpy()
    forward = np.where(exits >= 0, close[exits] / close - 1, np.nan)
    sigma = frame["close"].apply(np.log).diff().rolling(60).std().to_numpy() * np.sqrt(4)
    # The quartiles are those of the first 300 labels, as if those were the training part.
    settled = pd.Series(forward[:300]).dropna()
    cuts = settled.quantile([0.25, 0.5, 0.75]).to_numpy()
    frame["forward"] = forward
    frame["fixed:0.002"] = three_classes(forward, np.full(len(frame), 0.002))
    frame["volatility:0.8"] = three_classes(forward, 0.8 * sigma)
    frame["triple-barrier:0.003:0.003"] = triple_barrier(frame, exits, 0.003, 0.003)
    frame["triple-barrier:0.002:0.004"] = triple_barrier(frame, exits, 0.002, 0.004)
    frame["triple-barrier:0.004:0.002"] = triple_barrier(frame, exits, 0.004, 0.002)
    frame["quartile"] = np.where(np.isnan(forward), np.nan, np.searchsorted(cuts, forward))
    frame["at"] = frame["at"].astype("datetime64[us, UTC]").astype("int64")
    for rule in frame.columns[6:]:
        frame[rule] = frame[rule].astype("Int64")
    frame.to_csv(pathlib.Path(__file__).with_name("labels.csv"), index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
