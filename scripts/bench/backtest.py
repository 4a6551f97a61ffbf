"""A backtest with full statistics beside the same rules compiled by numba, vectorbt and backtesting.py.

One million hourly candles with weekends, from a seed; one candle in ten gives a signal; stop-loss, take-profit, and a
time-out four hours after entry. Trades are compared with the compiled rules one by one before timing counts.
"""

import json
import math
import pathlib
import statistics
import sys
import tempfile

import numpy as np

import common

HOUR_US = 3_600_000_000
HORIZON_US = 4 * HOUR_US
N = 1_000_000
LEVEL = 0.004
COST = 0.00014


def candles(n, seed):
    """Opening instants (Sunday 22:00 to Friday 22:00 UTC), prices and signals of n candles."""
    week, place = np.divmod(np.arange(n), 120)
    # From Sunday 1950-01-01T22:00Z on: a year has 6,240 hourly candles.
    open_at = -631_072_800_000_000 + 7 * 24 * HOUR_US * week + HOUR_US * place
    random = np.random.default_rng(seed)
    scale = 0.0015
    close = np.exp(np.cumsum(random.normal(0, scale, n)))
    open_ = np.concatenate([[1.0], close[:-1]])
    high = np.maximum(open_, close) * (1 + np.abs(random.normal(0, scale, n)))
    low = np.minimum(open_, close) * (1 - np.abs(random.normal(0, scale, n)))
    signals = random.choice([-1, 0, 1], n, p=[0.05, 0.9, 0.05]).astype(np.int8)
    return open_at, open_, high, low, close, signals


def compiled_rules():
    """The rules alone, as a plain loop that numba compiles; it returns signal rows, exit rows and net returns."""
    import numba

    @numba.njit
    def rules(open_at, open_, high, low, close, signals):
        n = len(close)
        rows, exits, returns = np.empty(n), np.empty(n), np.empty(n)
        n_trades = 0
        row = 0
        while row + 1 < n:
            side = signals[row]
            if side == 0:
                row += 1
                continue
            entry = open_[row + 1]
            until = open_at[row + 1] + HORIZON_US
            stop, target = entry * (1.0 - side * LEVEL), entry * (1.0 + side * LEVEL)
            price = 0.0
            at = row + 1
            while at < n:
                closes = open_at[at] + HOUR_US
                if closes > until:
                    at -= 1
                    price = close[at]
                    break
                if side > 0:
                    if open_[at] <= stop or open_[at] >= target:
                        price = open_[at]
                    elif low[at] <= stop:
                        price = stop
                    elif high[at] >= target:
                        price = target
                else:
                    if open_[at] >= stop or open_[at] <= target:
                        price = open_[at]
                    elif high[at] >= stop:
                        price = stop
                    elif low[at] <= target:
                        price = target
                if price > 0.0:
                    break
                if closes == until:
                    price = close[at]
                    break
                at += 1
            if at == n:
                break
            rows[n_trades], exits[n_trades] = row, at
            returns[n_trades] = side * (price / entry - 1.0) - COST / entry
            n_trades += 1
            row = at
        return rows[:n_trades], exits[:n_trades], returns[:n_trades]

    return rules


def with_vectorbt(columns):
    """The same signals and levels; vectorbt has no time-out, so exits come four candles after each signal."""
    import pandas as pd
    import vectorbt as vbt

    open_at, open_, high, low, close, signals = columns
    index = pd.DatetimeIndex(open_at.astype("datetime64[us]"))
    long = pd.Series(np.roll(signals > 0, 1), index)
    short = pd.Series(np.roll(signals < 0, 1), index)
    late = pd.Series(np.roll(signals != 0, 4), index)

    def call():
        return vbt.Portfolio.from_signals(
            pd.Series(close, index), long, late, short, late, price=pd.Series(open_, index),
            open=pd.Series(open_, index), high=pd.Series(high, index), low=pd.Series(low, index),
            sl_stop=LEVEL, tp_stop=LEVEL, fees=COST / 2, freq="1h",
        ).stats()["Total Trades"]

    return call


def with_backtesting(columns):
    """The same signals, levels and time-out as a Strategy."""
    import pandas as pd
    import backtesting

    open_at, open_, high, low, close, signals = columns
    frame = pd.DataFrame({"Open": open_, "High": high, "Low": low, "Close": close},
                         pd.DatetimeIndex(open_at.astype("datetime64[us]")))

    class Signals(backtesting.Strategy):
        def init(self):
            self.bar = 0

        def next(self):
            bar = len(self.data) - 1
            if self.trades and bar - self.trades[0].entry_bar >= 3:
                self.trades[0].close()
            if signals[bar] and not self.position:
                price = self.data.Close[-1]
                side = int(signals[bar])
                order = self.buy if side > 0 else self.sell
                order(sl=price * (1 - side * LEVEL), tp=price * (1 + side * LEVEL))

    def call():
        return backtesting.Backtest(frame, Signals, cash=1e6, spread=COST, exclusive_orders=False,
                                    finalize_trades=True).run()["# Trades"]

    return call


def main():
    common.keep_freed_memory()
    binary = common.bench_binary("backtest")
    columns = candles(N, 20251021)
    config = json.dumps({"costs": {"spread": COST, "slippage": 0.0}, "stop_loss": LEVEL, "take_profit": LEVEL})
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder, "candles"), pathlib.Path(folder, "trades")
        with source.open("wb") as file:
            for column in columns:
                column.tofile(file)

        def rate(repeats=11):
            output = common.run([binary, "1h", config, N, source, target, repeats])
            return N / statistics.median(json.loads(output))

        rate(1)
        trades = np.fromfile(target).reshape(3, -1)
        exact = "every trade: signal row, exit row and net return, bit for bit"
        for name, prepare, repeats, must, stretch in [
            ("the rules compiled (numba)", lambda: lambda rules=compiled_rules(): rules(*columns), 11, 0.25, None),
            ("vectorbt", lambda: with_vectorbt(columns), 3, 7, None),
            ("backtesting.py", lambda: with_backtesting(columns), 1, 100, 300),
        ]:
            try:
                call = prepare()
                answer = call()
            except (ImportError, ValueError) as error:
                common.unavailable("backtest_full_statistics", name, error)
                continue
            if isinstance(answer, tuple):
                if not np.array_equal(trades, np.array(answer)):
                    sys.exit(f"error: trades differ from {name}")
                checked = exact
            else:
                checked = f"number of trades, {trades.shape[1]} against {int(answer)}: its rules differ in detail"
                if not math.isclose(trades.shape[1], answer, rel_tol=0.1):
                    sys.exit(f"error: {checked}")
            figures = common.alternate(
                rate, lambda: N / statistics.median(common.timed(call) for _ in range(repeats)))
            common.emit("backtest_full_statistics", "bars/s", *figures, name, must, stretch, threads=1, checked=checked)


main()
