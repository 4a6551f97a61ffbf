"""From PostgreSQL to Parquet: a million candles as they are, and with 38 features and a label; against pandas, connectorx
and ADBC with polars. Then what does not grow: the memory of an export of ten million rows.

AIFX_BENCH_ROWS and AIFX_BENCH_MANY_ROWS change the sizes. Rows, the sum of closes and the classes are compared before a time counts."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from common import AIFX, ROOT, alternate, emit, note, peak_mib, run, unavailable

PEER = ROOT / "scripts" / "bench" / "peers" / "pipeline.py"
ROWS = int(os.environ.get("AIFX_BENCH_ROWS", "1000000"))
MANY_ROWS = int(os.environ.get("AIFX_BENCH_MANY_ROWS", "10000000"))
PAIRS = ["EUR/USD", "GBP/USD", "USD/JPY", "AUD/USD", "USD/CAD"]
NAMES = {"sell": 0, "hold": 1, "buy": 2, None: -1}


def look(path):
    """Rows, the sum of closes, and how often each class, of a Parquet file."""
    import polars as pl

    columns = pl.scan_parquet(path).collect_schema().names()
    frame = pl.read_parquet(path, columns=["close", "label"] if "label" in columns else ["close"])
    counts = {}
    if "label" in columns:
        for value, count in frame["label"].value_counts().iter_rows():
            counts[NAMES.get(value, value)] = count
    return frame.height, round(float(frame["close"].cast(pl.Float64).sum()), 2), sorted(counts.items())


class Home:
    """A home of its own with a simulated market of `rows` minute candles."""

    def __init__(self, rows):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="aifx-bench-"))
        self.environment = {"HOME": str(self.path), "PATH": "/usr/bin:/bin"}
        self("init")
        self("simulate", "--pairs", ",".join(PAIRS), "--timeframe", "1min", "--candles", str(rows // len(PAIRS)),
             "--edge", "0", "--end", "2025-10-19T00:00:00Z")  # fmt: skip
        url = json.loads(self("db", "status", "--json"))["url"]
        self.dsn = f"host={url.split('host=')[1]} user=aifx dbname=aifx"

    def command(self, *arguments):
        return [str(AIFX), "--home", str(self.path), "--quiet", *map(str, arguments)]

    def __call__(self, *arguments):
        return run(self.command(*arguments), env=self.environment)

    def sql(self, text):
        import psycopg2

        with psycopg2.connect(self.dsn) as connection, connection.cursor() as cursor:
            cursor.execute(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(self.command("db", "stop"), stdout=subprocess.DEVNULL, env=self.environment)
        shutil.rmtree(self.path, ignore_errors=True)


def compare(home, bench, arguments, peers, unit="rows/s"):
    ours, theirs = home.path / "ours", home.path / "theirs.parquet"

    def run_ours():
        shutil.rmtree(ours, ignore_errors=True)
        # Neither side waits for what the other left to be written.
        os.sync()
        start = time.perf_counter()
        home("export", "--format", "parquet", "--output", ours, *arguments)
        return ROWS / (time.perf_counter() - start)

    for kind, title, must, stretch in peers:
        memory = []

        def run_peer():
            os.sync()
            answer = json.loads(run([sys.executable, PEER, kind, home.dsn, theirs]))
            memory.append(answer["mib"])
            return ROWS / answer["seconds"]

        try:
            run_ours()
            run_peer()
        except Exception as error:
            unavailable(bench, title, error)
            continue
        mine, other = look(ours / "candles.parquet"), look(theirs)
        if mine != other:
            raise SystemExit(f"error: the outputs differ: {mine} and {other}")
        left, right = alternate(run_ours, run_peer)
        emit(bench, unit, left, right, title, must, stretch, threads=2, checked=f"{mine[0]} rows, same closes and classes")
        shutil.rmtree(ours, ignore_errors=True)
        _, mib = peak_mib(home.command("export", "--format", "parquet", "--output", ours, *arguments), env=home.environment)
        emit(f"{bench}_memory", "MiB", [mib], [min(memory)], title, 0.5, None, "lower", 2, "peak of the whole process")


def main():
    with Home(ROWS) as home:
        compare(home, "export_parquet", [], [("pandas", "pandas", 4.0, None), ("connectorx", "connectorx + polars", 1.0, 1.3)])
        compare(home, "pipeline_parquet", ["--features", "v1", "--labels", "fixed:0.0005"],
                [("pandas+features", "pandas + pandas-ta", 5.0, None), ("adbc+features", "ADBC + polars", 1.4, 2.0)])  # fmt: skip
        home.sql("ALTER TABLE market_data " + ", ".join(
            f"ALTER COLUMN {name} TYPE numeric(18,6)" for name in ("open", "high", "low", "close", "volume")))  # fmt: skip
        compare(home, "export_parquet_numeric", [], [("connectorx", "connectorx + polars", 1.5, None)])
    with Home(MANY_ROWS) as home:
        for kind in ("csv", "parquet"):
            seconds, mib = peak_mib(home.command("export", "--format", kind, "--output", home.path / "out"), env=home.environment)
            shutil.rmtree(home.path / "out", ignore_errors=True)
            emit(f"export_{kind}_memory_{MANY_ROWS}", "MiB", [mib], None, None, None, None, "lower", 1, f"{MANY_ROWS} rows",
                 goal_mib=150, stretch_mib=64, seconds=seconds)  # fmt: skip
    note("pipeline: the peers' imports are outside their clock, all of aifx is inside its own")


if __name__ == "__main__":
    sys.exit(main())
