"""Golden values of feature set v1: seeded candles, and what TA-Lib and numpy make of them.

Writes features_v1.csv beside itself: the candles (timestamp = opening instant, microseconds UTC, hourly) and, row by
row, the 38 columns; an empty field where a feature is not yet defined, and `-` in rows that are left out: the start
and the ends of a thousand rows are listed, where the seams of a block-wise computation would show. Made with TA-Lib 0.8.2 and numpy 2.2.6:

    pip install TA-Lib numpy && python tests/golden/features_talib.py

`reference(candles)` is also what scripts/bench/features.py measures aifx against.
"""

import csv
import pathlib

import numpy as np
import talib

LAGS = (1, 2, 3, 6, 12, 24)
HOUR_US = 3_600_000_000
# Looked up: sines of whole columns would take a third of the reference's time.
DAY_SIN, DAY_COS = (wave(2 * np.pi * np.arange(1440) / 1440) for wave in (np.sin, np.cos))
WEEK_SIN, WEEK_COS = (wave(2 * np.pi * np.arange(7) / 7) for wave in (np.sin, np.cos))


def simulated(n, seed, price=1.1, tick=1e-5, volume=True):
    """A random walk on the vendor's tick, with volatility that comes and goes, and weekends left out."""
    rng = np.random.default_rng(seed)
    scale = 8e-4 * np.exp(0.6 * np.sin(np.arange(n) / 97.0))
    close = price * np.exp(np.cumsum(scale * rng.standard_normal(n)))
    open_ = np.concatenate([[price], close[:-1]]) * np.exp(5e-5 * rng.standard_normal(n))
    high = np.maximum(open_, close) * np.exp(4e-4 * np.abs(rng.standard_normal(n)))
    low = np.minimum(open_, close) * np.exp(-4e-4 * np.abs(rng.standard_normal(n)))
    # Rounding keeps the order of the four, since it is monotone.
    open_, high, low, close = (np.round(np.round(x / tick) * tick, 6) for x in (open_, high, low, close))
    hours = np.arange(n)
    at = (1_704_146_400_000_000 + HOUR_US * (hours + 48 * (hours // 120))).astype(np.int64)
    counts = rng.integers(0, 5000, n).astype(float) if volume else np.zeros(n)
    return {"at_us": at, "open": open_, "high": high, "low": low, "close": close, "volume": counts}


def lagged(x, lag):
    out = np.full(len(x), np.nan)
    out[lag:] = x[:-lag]
    return out


def rolling(x, n):
    """Windows of n that end at each row from n - 1 on; rows before have none."""
    return np.lib.stride_tricks.sliding_window_view(x, n)


def tail(values, n_rows):
    return np.concatenate([np.full(n_rows - len(values), np.nan), values])


def rolling_sd(x, n):
    """Sample sd of windows, by moments around the overall mean: the fast way in numpy."""
    x = x - np.nanmean(x)
    sums, squares = np.cumsum(np.insert(x, 0, 0.0)), np.cumsum(np.insert(x * x, 0, 0.0))
    s, q = sums[n:] - sums[:-n], squares[n:] - squares[:-n]
    return np.sqrt(np.maximum(q - s * s / n, 0.0) / (n - 1))


def exact_sd(x, n):
    return rolling(x, n).std(axis=1, ddof=1)


def reference(c, sd=rolling_sd):
    """The 38 columns by TA-Lib and numpy, in the order of the set. `sd` is how rolling deviations are taken."""
    o, h, l, x, v = c["open"], c["high"], c["low"], c["close"], c["volume"]
    n = len(x)
    out = {}
    log = np.log(x)
    for lag in LAGS:
        out[f"log_return_{lag}"] = log - lagged(log, lag)
    atr = talib.ATR(h, l, x, 14)
    for period in (10, 20, 50):
        out[f"sma_{period}_atr"] = (x - talib.SMA(x, period)) / atr
    for period in (10, 20, 50):
        out[f"ema_{period}_atr"] = (x - talib.EMA(x, period)) / atr
    out["rsi_14"] = talib.RSI(x, 14)
    for name, line in zip(("macd", "macd_signal", "macd_histogram"), talib.MACD(x, 12, 26, 9)):
        out[f"{name}_atr"] = line / atr
    upper, middle, lower = talib.BBANDS(x, 20, 2.0, 2.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        out["bollinger_b"] = (x - lower) / (upper - lower)
    out["bollinger_width"] = (upper - lower) / middle
    out["atr_close"] = atr / x
    # TA-Lib shows slow %K only from where %D is; by itself it is the mean of three of STOCHF's.
    fast_k, _ = talib.STOCHF(h, l, x, 14, 1)
    out["stoch_k"] = talib.SMA(fast_k, 3)
    _, out["stoch_d"] = talib.STOCH(h, l, x, 14, 3, 0, 3, 0)
    out["adx_14"] = talib.ADX(h, l, x, 14)
    out["plus_di_14"] = talib.PLUS_DI(h, l, x, 14)
    out["minus_di_14"] = talib.MINUS_DI(h, l, x, 14)
    out["cci_20"] = talib.CCI(h, l, x, 20)
    out["williams_r_14"] = talib.WILLR(h, l, x, 14)
    out["roc_10"] = talib.ROC(x, 10)
    ret = out["log_return_1"][1:]
    short, long = tail(sd(ret, 10), n), tail(sd(ret, 60), n)
    out["volatility_10"], out["volatility_60"], out["volatility_ratio"] = short, long, short / long
    span = h - l
    with np.errstate(divide="ignore", invalid="ignore"):
        share = lambda part: np.where(span > 0, part / span, 0.0)
        out["body_share"] = share(x - o)
        out["upper_wick_share"] = share(h - np.maximum(o, x))
        out["lower_wick_share"] = share(np.minimum(o, x) - l)
        spread = tail(sd(v, 20), n)
        out["volume_z_20"] = np.where(spread == 0, 0.0, (v - talib.SMA(v, 20)) / spread)
    minute = (c["at_us"] + HOUR_US) // 60_000_000
    days = minute // 1440
    time, day = minute - 1440 * days, (days + 3) % 7
    out["hour_sin"], out["hour_cos"] = DAY_SIN[time], DAY_COS[time]
    out["weekday_sin"], out["weekday_cos"] = WEEK_SIN[day], WEEK_COS[day]
    return out


if __name__ == "__main__":
    candles = simulated(1100, seed=20240102)
    columns = candles | reference(candles, exact_sd)
    assert len(columns) == 6 + 38
    path = pathlib.Path(__file__).with_name("features_v1.csv")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        listed = [*range(90), *range(505, 580), *range(1015, 1095)]
        for index, (at_us, *row) in enumerate(zip(*(values.tolist() for values in columns.values()))):
            fields = ["" if value != value else f"{value:.14g}" for value in row]
            writer.writerow([at_us, *fields] if index in listed else [at_us, *fields[:5], *38 * "-"])
