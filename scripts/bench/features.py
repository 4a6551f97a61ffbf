"""The 38 features: a range of 5 x 200,000 candles, and the 600 of one prediction; against TA-Lib with numpy,
pandas-ta-classic (TA-Lib off) and polars expressions.

TA-Lib's columns are those of tests/golden/features_talib.py, so what is timed is what is checked: every value of every
column, on all rows. The other two are checked where their start-up no longer shows.
"""

import json
import multiprocessing
import os
import pathlib
import statistics
import sys
import tempfile

import numpy as np

from common import ROOT, alternate, bench_binary, emit, note, run, timed, unavailable

sys.path.insert(0, str(ROOT / "tests" / "golden"))

N_ROWS = 200_000
CALL_ROWS = 600
MARKETS = [(1.1, 1e-5), (1.27, 1e-5), (150.0, 1e-3), (0.65, 1e-5), (1.35, 1e-5)]
COLUMNS = ("at_us", "open", "high", "low", "close", "volume")


def median_of(call, repeats=5):
    """Seconds of a call, after one that is not counted: the median."""
    call()
    return statistics.median(timed(call) for _ in range(repeats))


def pandas_ta(c, names):
    """The same columns by pandas-ta-classic and pandas."""
    import pandas as pd
    import pandas_ta_classic as ta

    f = pd.DataFrame(c)
    o, h, l, x, v = f.open, f.high, f.low, f.close, f.volume
    off = {"talib": False}
    out = {}
    log = np.log(x)
    for lag in (1, 2, 3, 6, 12, 24):
        out[f"log_return_{lag}"] = log.diff(lag)
    atr = ta.atr(h, l, x, length=14, **off)
    for n in (10, 20, 50):
        out[f"sma_{n}_atr"] = (x - ta.sma(x, length=n, **off)) / atr
        out[f"ema_{n}_atr"] = (x - ta.ema(x, length=n, **off)) / atr
    out["rsi_14"] = ta.rsi(x, length=14, **off)
    macd = ta.macd(x, fast=12, slow=26, signal=9, **off)
    line, histogram, signal = (macd.iloc[:, index] for index in range(3))
    out["macd_atr"], out["macd_signal_atr"], out["macd_histogram_atr"] = line / atr, signal / atr, histogram / atr
    bands = ta.bbands(x, length=20, std=2, ddof=0, **off)
    lower, middle, upper = (bands.iloc[:, index] for index in range(3))
    out["bollinger_b"], out["bollinger_width"] = (x - lower) / (upper - lower), (upper - lower) / middle
    out["atr_close"] = atr / x
    stoch = ta.stoch(h, l, x, k=14, d=3, smooth_k=3, **off)
    out["stoch_k"], out["stoch_d"] = stoch.iloc[:, 0], stoch.iloc[:, 1]
    adx = ta.adx(h, l, x, length=14, **off)
    out["adx_14"] = adx.filter(like="ADX_").iloc[:, 0]
    out["plus_di_14"], out["minus_di_14"] = adx.filter(like="DMP").iloc[:, 0], adx.filter(like="DMN").iloc[:, 0]
    out["cci_20"] = ta.cci(h, l, x, length=20, **off)
    out["williams_r_14"] = ta.willr(h, l, x, length=14, **off)
    out["roc_10"] = ta.roc(x, length=10, **off)
    ret = log.diff()
    out["volatility_10"], out["volatility_60"] = ret.rolling(10).std(), ret.rolling(60).std()
    out["volatility_ratio"] = out["volatility_10"] / out["volatility_60"]
    span = h - l
    out["body_share"] = (x - o) / span
    out["upper_wick_share"] = (h - np.maximum(o, x)) / span
    out["lower_wick_share"] = (np.minimum(o, x) - l) / span
    out["volume_z_20"] = (v - v.rolling(20).mean()) / v.rolling(20).std()
    out |= clock(c)
    return {name: np.asarray(out[name]) for name in names}


def clock(c):
    from features_talib import DAY_COS, DAY_SIN, HOUR_US, WEEK_COS, WEEK_SIN

    minute = (c["at_us"] + HOUR_US) // 60_000_000
    time, day = minute % 1440, (minute // 1440 + 3) % 7
    return {"hour_sin": DAY_SIN[time], "hour_cos": DAY_COS[time],
            "weekday_sin": WEEK_SIN[day], "weekday_cos": WEEK_COS[day]}  # fmt: skip


def polars_expressions(c, names):
    """The same columns as one lazy plan: no column but the clock's comes from outside polars."""
    import polars as pl

    o, h, l, x, v = (pl.col(name) for name in COLUMNS[1:])
    log = x.log()
    before = x.shift(1)
    ema = lambda e, n: e.ewm_mean(span=n, adjust=False)
    wilder = lambda e: e.ewm_mean(alpha=1 / 14, adjust=False)
    rise, fall = h - h.shift(1), l.shift(1) - l
    plus = pl.when((rise > fall) & (rise > 0)).then(rise).otherwise(0.0)
    minus = pl.when((fall > rise) & (fall > 0)).then(fall).otherwise(0.0)
    true_range = pl.max_horizontal(h - l, (h - before).abs(), (l - before).abs())
    typical = (h + l + x) / 3
    middle = typical.rolling_mean(20)
    low_14, high_14 = l.rolling_min(14), h.rolling_max(14)
    base = {
        "log": log, "ret": log - log.shift(1), "atr": wilder(true_range), "macd": ema(x, 12) - ema(x, 26),
        "gain": wilder((x - before).clip(lower_bound=0)), "loss": wilder((before - x).clip(lower_bound=0)),
        "plus": wilder(plus), "minus": wilder(minus), "typical": typical, "middle": middle,
        "low_14": low_14, "high_14": high_14, "sma_20": x.rolling_mean(20), "sd_20": x.rolling_std(20, ddof=0),
        "span": h - l,
    }  # fmt: skip
    col = pl.col
    atr, span = col("atr"), col("span")
    out = {f"log_return_{lag}": col("log") - col("log").shift(lag) for lag in (1, 2, 3, 6, 12, 24)}
    for n in (10, 20, 50):
        out[f"sma_{n}_atr"] = (x - x.rolling_mean(n)) / atr
        out[f"ema_{n}_atr"] = (x - ema(x, n)) / atr
    signal = ema(col("macd"), 9)
    fast_k = 100 * (x - col("low_14")) / (col("high_14") - col("low_14"))
    plus_di, minus_di = 100 * col("plus") / atr, 100 * col("minus") / atr
    distance = sum((col("typical").shift(back) - col("middle")).abs() for back in range(20)) / 20
    out |= {
        "rsi_14": 100 * col("gain") / (col("gain") + col("loss")),
        "macd_atr": col("macd") / atr, "macd_signal_atr": signal / atr,
        "macd_histogram_atr": (col("macd") - signal) / atr,
        "bollinger_b": 0.5 + (x - col("sma_20")) / (4 * col("sd_20")),
        "bollinger_width": 4 * col("sd_20") / col("sma_20"), "atr_close": atr / x,
        "stoch_k": fast_k.rolling_mean(3), "stoch_d": fast_k.rolling_mean(3).rolling_mean(3),
        "adx_14": wilder((100 * (plus_di - minus_di).abs() / (plus_di + minus_di)).fill_nan(0.0)),
        "plus_di_14": plus_di, "minus_di_14": minus_di,
        "cci_20": (col("typical") - col("middle")) / (0.015 * distance),
        "williams_r_14": -100 * (col("high_14") - x) / (col("high_14") - col("low_14")),
        "roc_10": 100 * (x / x.shift(10) - 1),
        "volatility_10": col("ret").rolling_std(10), "volatility_60": col("ret").rolling_std(60),
        "volatility_ratio": col("ret").rolling_std(10) / col("ret").rolling_std(60),
        "body_share": (x - o) / span, "upper_wick_share": (h - pl.max_horizontal(o, x)) / span,
        "lower_wick_share": (pl.min_horizontal(o, x) - l) / span,
        "volume_z_20": (v - v.rolling_mean(20)) / v.rolling_std(20),
    }  # fmt: skip
    frame = pl.DataFrame({name: c[name] for name in COLUMNS} | clock(c))
    frame = frame.lazy().with_columns(**base).with_columns(**out).select(names).collect()
    return {name: frame[name].to_numpy() for name in names}


def worst(ours, theirs, skip=0):
    """The greatest difference and its column; where only one side has a value it is infinite. Rows before `skip`, and
    those where the peer has an undefined value after it (a candle without range), are left out with `skip`."""
    found = (0.0, "")
    for index, name in enumerate(theirs):
        a, b = ours[index][skip:], np.asarray(theirs[name], dtype=float)[skip:]
        if skip:
            a, b = a[np.isfinite(b)], b[np.isfinite(b)]
        error = float("inf") if (np.isnan(a) != np.isnan(b)).any() else float(np.nanmax(np.abs(a - b)))
        found = max(found, (error, name))
    return found


def in_two_processes(reference, series):
    """Seconds of two processes at a time; what each works on and makes stays its own, so nothing is sent."""
    global work
    work = lambda index: reference(series[index]) and None
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return median_of(lambda: pool.map(worker, range(len(series)), chunksize=1))


def worker(index):
    work(index)


def main():
    try:
        from features_talib import exact_sd, reference, simulated
    except ImportError as missing:
        unavailable("features_range", "TA-Lib + numpy", missing)
        return
    import talib

    series = [simulated(N_ROWS, seed, price, tick) for seed, (price, tick) in enumerate(MARKETS, 1)]
    n_rows = N_ROWS * len(series)
    binary = bench_binary("features")
    with tempfile.TemporaryDirectory() as folder:
        candles, columns = pathlib.Path(folder, "candles"), pathlib.Path(folder, "columns")
        with candles.open("wb") as file:
            for c in series:
                for name in COLUMNS:
                    file.write(c[name].tobytes())
        ours = lambda mode, *more: json.loads(run([binary, mode, candles, len(series), *more]))
        ours("range", columns)
        values = np.fromfile(columns).reshape(len(series), 38, N_ROWS)

        expected = reference(series[0])
        names = list(expected)
        error, column = max(worst(v, reference(c, exact_sd)) for v, c in zip(values, series))
        agree = f"{'1e-9' if error <= 1e-9 else 'DIFFERS: %.1e in %s' % (error, column)} on {n_rows} rows x 38"
        version = f"TA-Lib {talib.__version__} + numpy {np.__version__}"

        # The results of the last round are still there in the next, so both sides write into memory they have.
        kept = [None] * len(series)

        def talib_range():
            for index, c in enumerate(series):
                kept[index] = reference(c)

        rate = lambda key: n_rows / ours("range")[key]
        left, right = alternate(lambda: rate("one_thread_s"), lambda: n_rows / median_of(talib_range), 5)
        emit("features_range", "rows/s", left, right, version + ", 1 process", must=2.0, threads=1, checked=agree)
        left, right = alternate(lambda: rate("all_threads_s"), lambda: n_rows / median_of(talib_range), 3)
        threads = ours("range")["threads"]
        emit("features_range_all_threads", "rows/s", left, right, version + ", 1 process", must=2.0, stretch=2.7,
             threads=threads, reference_threads=1, checked=agree)  # fmt: skip

        left, right = alternate(lambda: rate("all_threads_s"), lambda: n_rows / in_two_processes(reference, series), 3)
        emit("features_range_two_processes", "rows/s", left, right, version + ", 2 processes", threads=threads,
             checked=agree)  # fmt: skip
        kept = None

        def talib_new_memory():
            return [reference(c) for c in series]

        left, right = alternate(lambda: rate("new_memory_s"), lambda: n_rows / median_of(talib_new_memory), 3)
        emit("features_range_new_memory", "rows/s", left, right, version + ", 1 process", threads=1, checked=agree)

        others = [
            ("pandas-ta-classic, TA-Lib off", "features_range_pandas_ta", pandas_ta, 20.0, 28.0, "one_thread_s", 1),
            ("polars expressions", "features_range_polars", polars_expressions, 8.0, None, "all_threads_s", threads),
        ]
        prediction = {name: series[0][name][:CALL_ROWS] for name in COLUMNS}
        calls = [(version, lambda: reference(prediction), 1 / 1.4, 1.0, agree)]
        for title, bench, function, must, stretch, key, n_threads in others:
            try:
                error, column = worst(values[0], function(series[0], names), 2000)
            except ImportError as missing:
                unavailable(bench, title, missing)
                continue
            same = f"largest difference {error:.1e} ({column}) from row 2000 on, {N_ROWS} rows"
            left, right = alternate(
                lambda: rate(key), lambda: n_rows / timed(lambda: [function(c, names) for c in series])
            )
            emit(bench, "rows/s", left, right, title, must=must, stretch=stretch, threads=n_threads, checked=same)
            goal = 1 / 100 if function is pandas_ta else None
            calls.append((title, lambda function=function: function(prediction, names), goal, None, same))

        for title, call, must, _, same in calls:
            n_calls = 1000 if title == version else 50
            p50 = lambda: 1e3 * statistics.median(timed(call) for _ in range(n_calls))
            p99 = []

            def own():
                figures = ours("call")
                p99.append(1e3 * figures["p99_s"])
                return 1e3 * figures["p50_s"]

            left, right = alternate(own, p50)
            emit("features_call_600", "ms p50", left, right, title, must=must, better="lower", threads=1, checked=same,
                 must_ms=0.10, stretch_ms=0.05, holds_ms=statistics.median(left) <= 0.10, p99_ms=p99)  # fmt: skip


if __name__ == "__main__":
    if os.getloadavg()[0] > 1.0:
        note("the machine is busy: load1 is in every line")
    main()
