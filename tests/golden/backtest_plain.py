"""Golden backtests: the candles of labels.csv, seeded signals, and trades and figures by plain Python.

Writes backtest.json beside itself. Standard library only: python tests/golden/backtest_plain.py
"""

import csv
import datetime
import json
import math
import pathlib
import random
import statistics
import zoneinfo

HERE = pathlib.Path(__file__).parent
NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
HOUR_US = 3_600_000_000
HORIZON_US = 4 * HOUR_US
SPREAD, SLIPPAGE = 0.0001, 0.00002


def trading_day(at_us):
    at = datetime.datetime.fromtimestamp(at_us / 1e6, NEW_YORK).replace(tzinfo=None)
    day = (at + datetime.timedelta(hours=7)).date()
    return day + datetime.timedelta(days={5: 2, 6: 1}.get(day.weekday(), 0))


def close_position(candles, row, side, stop_loss, take_profit):
    """Exit row, price and reason of a position entered at the open of candle `row`; None while it is open."""
    entry = candles[row]["open"]
    until = candles[row]["at"] + HORIZON_US
    stop = None if stop_loss is None else entry * (1 - side * stop_loss)
    target = None if take_profit is None else entry * (1 + side * take_profit)
    last = None
    for at in range(row, len(candles)):
        candle = candles[at]
        if candle["at"] + HOUR_US > until:
            return last, candles[last]["close"], "time-out"
        worst, best = (candle["low"], candle["high"]) if side > 0 else (candle["high"], candle["low"])
        for price in (candle["open"], None):
            if stop is not None and side * ((price or worst) - stop) <= 0:
                return at, price or stop, "stop"
            if target is not None and side * ((price or best) - target) >= 0:
                return at, price or target, "target"
        last = at
        if candle["at"] + HOUR_US == until:
            return at, candle["close"], "time-out"
    return None


def backtest(candles, signals, stop_loss, take_profit):
    days = {trading_day(candle["at"]): 0.0 for candle in candles}
    trades, exposed, n_open, row = [], 0, 0, 0
    while row + 1 < len(candles):
        if signals[row] == 0:
            row += 1
            continue
        side, entry = signals[row], candles[row + 1]["open"]
        end = close_position(candles, row + 1, side, stop_loss, take_profit)
        if end is None:
            n_open, exposed = 1, exposed + len(candles) - 1 - row
            break
        exit_row, price, reason = end
        net = side * (price / entry - 1) - (SPREAD + 2 * SLIPPAGE) / entry
        days[trading_day(candles[exit_row]["at"])] += net
        exposed += exit_row - row
        trades.append([row, exit_row, reason, net])
        row = exit_row
    equity = [1.0]
    for day in days.values():
        equity.append(equity[-1] * (1 + day))
    drawdown = max(1 - equity[k] / max(equity[: k + 1]) for k in range(len(equity)))
    nets = [trade[3] for trade in trades]
    n, mean = len(days), statistics.fmean(days.values())
    ratio = mean / statistics.stdev(days.values())
    moment = [statistics.fmean((day - mean) ** k for day in days.values()) for k in range(5)]
    skewness, kurtosis = moment[3] / moment[2] ** 1.5, moment[4] / moment[2] ** 2
    error = math.sqrt((1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2) / (n - 1))
    n_signals = sum(signal != 0 for signal in signals)
    figures = {
        "n_days": n,
        "n_signals": n_signals,
        "n_trades": len(trades),
        "n_open": n_open,
        "win_rate": sum(net > 0 for net in nets) / len(nets),
        "avg_pnl": statistics.fmean(nets),
        "total_pnl": math.fsum(nets),
        "profit_factor": math.fsum(n for n in nets if n > 0) / -math.fsum(n for n in nets if n < 0),
        "roi": equity[-1] - 1,
        "sharpe": ratio * math.sqrt(252),
        "sharpe_se": error * math.sqrt(252),
        "max_drawdown": drawdown,
        "exposure": exposed / len(candles),
        "signals_per_day": n_signals / n,
    }
    return {"days": [str(day) for day in days], "figures": figures, "trades": trades}


def main():
    with (HERE / "labels.csv").open() as file:
        rows = csv.DictReader(file)
        candles = [{"at": int(row["at"])} | {k: float(row[k]) for k in ("open", "high", "low", "close")} for row in rows]
    seeded = random.Random(20240218)
    signals = [seeded.choice([-1, 0, 0, 0, 1]) for _ in candles]
    signals[-3:] = [1, 1, 1]
    levels = [(None, None), (0.003, 0.003), (0.002, 0.005), (None, 0.002)]
    cases = [
        {"stop_loss": stop, "take_profit": target} | backtest(candles, signals, stop, target) for stop, target in levels
    ]
    (HERE / "backtest.json").write_text(json.dumps({"signals": signals, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
