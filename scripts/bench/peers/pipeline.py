"""Candles from PostgreSQL to Parquet as pandas and polars users write it: `pipeline.py KIND DSN OUT`, where KIND is
`pandas`, `connectorx` or `adbc`, with `+features` for the 38 features and a label by the clock.

Prints one JSON line: seconds after the imports with the file on the disk, and the peak of the process in MiB."""

import json
import os
import pathlib
import resource
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests" / "golden"))

QUERY = "SELECT pair, timeframe, timestamp, open, high, low, close, volume FROM market_data ORDER BY pair, timeframe, timestamp"
HORIZON_US, MINUTE_US = 300_000_000, 60_000_000
THRESHOLD = 0.0005


def classes(at_us, close):
    """sell, hold, buy by the close of the last candle within five minutes of the decision; -1 where there is none."""
    import numpy as np

    closed = at_us + MINUTE_US
    last = np.searchsorted(closed, closed + HORIZON_US, side="right") - 1
    exists = (last > np.arange(len(close))) & (closed + HORIZON_US <= closed[-1])
    change = close[last] / close - 1.0
    return np.where(exists, np.where(change > THRESHOLD, 2, np.where(change < -THRESHOLD, 0, 1)), -1).astype(np.int8)


def columns(frame):
    """Name to array of one pair's candles."""
    import numpy as np

    out = {name: frame[name].to_numpy().astype(float) for name in ("open", "high", "low", "close", "volume")}
    at = frame["timestamp"]
    at = at.dt.tz_localize(None) if hasattr(at.dt, "tz_localize") else at.dt.replace_time_zone(None)
    out["at_us"] = at.to_numpy().astype("datetime64[us]").astype(np.int64)
    return out


def main():
    kind, dsn, out = sys.argv[1:]
    kind, _, wants = kind.partition("+")
    import features as bench
    from features_talib import reference  # names of the columns

    names = None
    if wants:
        import numpy as np

        rng = np.random.default_rng(1)
        price = 1 + np.cumsum(rng.normal(0, 1e-4, 700))
        small = {"open": price, "close": price, "high": price * 1.001, "low": price * 0.999, "volume": price,
                 "at_us": np.arange(700) * MINUTE_US}  # fmt: skip
        names = list(reference(small))
    if kind == "pandas":
        import pandas as pd
        import psycopg2
        import pyarrow  # noqa: F401
        import sqlalchemy

        start = time.perf_counter()
        engine = sqlalchemy.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(dsn))
        frame = pd.read_sql(QUERY, engine)
        if wants:
            parts = []
            for _, one in frame.groupby("pair", sort=False):
                c = columns(one)
                more = pd.DataFrame(bench.pandas_ta(c, names), index=one.index)
                more["label"] = classes(c["at_us"], c["close"])
                parts.append(pd.concat([one, more], axis=1))
            frame = pd.concat(parts)
        frame.to_parquet(out, compression="zstd", index=False)
    else:
        import polars as pl

        host = dict(word.split("=") for word in dsn.split())
        uri = f"postgresql://{host['user']}@{host['host'].replace('/', '%2F')}/{host['dbname']}"
        start = time.perf_counter()
        if kind == "connectorx":
            import connectorx

            frame = connectorx.read_sql(uri, QUERY, return_type="polars")
        else:
            frame = pl.read_database_uri(QUERY, uri, engine="adbc")
        if wants:
            parts = []
            for one in frame.partition_by("pair", maintain_order=True):
                c = columns(one)
                more = bench.polars_expressions(c, names) | {"label": classes(c["at_us"], c["close"])}
                parts.append(one.with_columns(**{name: pl.Series(values) for name, values in more.items()}))
            frame = pl.concat(parts)
        frame.write_parquet(out, compression="zstd")
    with open(out, "rb") as file:
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
