"""Export of a million candles, and import of them, beside what users have today: pandas and PostgreSQL's own COPY.

Both sides end with their file on the disk (fsync). Outputs are compared before a time counts: rows, and the sum of all
closes to the last digit that CSV carries."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from common import AIFX, alternate, emit, note, peak_mib, unavailable

ROWS = int(os.environ.get("AIFX_BENCH_ROWS", "1000000"))
PAIRS = ["EUR/USD", "GBP/USD", "USD/JPY", "AUD/USD", "USD/CAD"]


def main():
    home = tempfile.mkdtemp(prefix="aifx-bench-")
    environment = {"HOME": home, "PATH": "/usr/bin:/bin"}

    def aifx(*arguments):
        command = [str(AIFX), "--home", home, "--quiet", *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout

    try:
        aifx("init")
        each = ROWS // len(PAIRS)
        aifx("simulate", "--pairs", ",".join(PAIRS), "--timeframe", "1min", "--candles", str(each),
             "--edge", "0", "--end", "2025-10-19T00:00:00Z")
        url = json.loads(aifx("db", "status", "--json"))["url"]
        host = url.split("host=")[1]
        dsn = f"host={host} user=aifx dbname=aifx"
        export(home, aifx, dsn)
        memory(home)
        numeric(home, aifx, dsn)
        imports(home, aifx, dsn)
    finally:
        subprocess.run([str(AIFX), "--home", home, "--quiet", "db", "stop"], stdout=subprocess.DEVNULL, env=environment)
        shutil.rmtree(home, ignore_errors=True)


def look(path):
    """Rows and sum of closes of a CSV, whatever its header."""
    rows, total = 0, 0.0
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            rows += 1
            total += float(row["close"])
    return rows, round(total, 3)


def numeric(home, aifx, dsn):
    """The same where the prices are NUMERIC, as in an AIFX database."""
    import psycopg2

    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE market_data " + ", ".join(
            f"ALTER COLUMN {name} TYPE numeric(18,6)" for name in ("open", "high", "low", "close", "volume")))
    export(home, aifx, dsn, "export_csv_numeric")
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE market_data " + ", ".join(
            f"ALTER COLUMN {name} TYPE float8" for name in ("open", "high", "low", "close", "volume")))


def export(home, aifx, dsn, bench="export_csv"):
    ours = pathlib.Path(home) / "ours"
    theirs = pathlib.Path(home) / "theirs.csv"

    def run_ours(kind="csv"):
        shutil.rmtree(ours, ignore_errors=True)
        start = time.perf_counter()
        aifx("export", "--format", kind, "--output", str(ours))
        return ROWS / (time.perf_counter() - start)

    def run_copy():
        import psycopg2

        start = time.perf_counter()
        with psycopg2.connect(dsn) as connection, connection.cursor() as cursor, open(theirs, "wb") as file:
            cursor.copy_expert(
                "COPY (SELECT pair, timeframe, timestamp, open, high, low, close, volume FROM market_data"
                " ORDER BY pair, timeframe, timestamp) TO STDOUT (FORMAT csv, HEADER)", file)
            file.flush()
            os.fsync(file.fileno())
        return ROWS / (time.perf_counter() - start)

    def run_pandas():
        import pandas
        import psycopg2
        import sqlalchemy

        start = time.perf_counter()
        engine = sqlalchemy.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(dsn))
        frame = pandas.read_sql("SELECT pair, timeframe, timestamp, open, high, low, close, volume FROM market_data"
                                " ORDER BY pair, timeframe, timestamp", engine)
        frame.to_csv(theirs, index=False)
        with open(theirs, "rb") as file:
            os.fsync(file.fileno())
        return ROWS / (time.perf_counter() - start)

    for name, peer, must, stretch in [("psycopg COPY", run_copy, 0.8, 1.0), ("pandas.read_sql + to_csv", run_pandas, 10, None)]:
        try:
            run_ours()
            peer()
        except ImportError as error:
            unavailable(bench, name, error)
            continue
        same = look(ours / "candles.csv") == look(theirs)
        if not same:
            raise SystemExit(f"error: the exports differ: {look(ours / 'candles.csv')} and {look(theirs)}")
        left, right = alternate(run_ours, peer)
        emit(bench, "rows/s", left, right, name, must, stretch, threads=1,
             checked=f"{ROWS} rows, same sum of closes")
    shutil.rmtree(ours, ignore_errors=True)


def memory(home):
    ours = pathlib.Path(home) / "ours"
    environment = {"HOME": home, "PATH": "/usr/bin:/bin"}
    command = [AIFX, "--home", home, "--quiet", "export", "--output", ours, "--format"]
    for kind in ("csv", "parquet"):
        shutil.rmtree(ours, ignore_errors=True)
        seconds, mib = peak_mib([*command, kind], env=environment)
        emit(f"export_{kind}_memory", "MiB", [mib], None, None, None, None, "lower", 1, f"{ROWS} rows",
             goal_mib=150, stretch_mib=64, seconds=seconds)


def imports(home, aifx, dsn):
    import psycopg2

    source = pathlib.Path(home) / "EURUSD_1min.csv"
    plain = pathlib.Path(home) / "plain.csv"
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        query = ("SELECT to_char(timestamp, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS timestamp, open, high, low, close, volume"
                 " FROM market_data WHERE pair = 'EUR/USD' ORDER BY 1")
        for path, header in [(source, True), (plain, False)]:
            with open(path, "w") as file:
                cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv{', HEADER' if header else ''})", file)
    rows = sum(1 for _ in open(plain))

    def empty():
        with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute("TRUNCATE market_data, market_data_revisions")

    def run_ours():
        empty()
        start = time.perf_counter()
        aifx("import", str(source))
        return rows / (time.perf_counter() - start)

    def run_copy_upsert():
        empty()
        start = time.perf_counter()
        with psycopg2.connect(dsn) as connection, connection.cursor() as cursor, open(plain) as file:
            cursor.execute("CREATE TEMP TABLE s (timestamp timestamptz, open float8, high float8, low float8,"
                           " close float8, volume float8) ON COMMIT DROP")
            cursor.copy_expert("COPY s FROM STDIN (FORMAT csv)", file)
            cursor.execute("INSERT INTO market_data (pair, timeframe, timestamp, open, high, low, close, volume)"
                           " SELECT 'EUR/USD', '1min', s.* FROM s ON CONFLICT (pair, timeframe, timestamp) DO UPDATE SET"
                           " open = EXCLUDED.open, high = EXCLUDED.high, low = EXCLUDED.low, close = EXCLUDED.close,"
                           " volume = EXCLUDED.volume")
        return rows / (time.perf_counter() - start)

    def run_execute_values():
        from psycopg2.extras import execute_values

        empty()
        start = time.perf_counter()
        with psycopg2.connect(dsn) as connection, connection.cursor() as cursor, open(plain) as file:
            candles = (("EUR/USD", "1min", row[0], *map(float, row[1:])) for row in csv.reader(file))
            execute_values(cursor, "INSERT INTO market_data (pair, timeframe, timestamp, open, high, low, close, volume)"
                           " VALUES %s ON CONFLICT (pair, timeframe, timestamp) DO UPDATE SET open = EXCLUDED.open,"
                           " high = EXCLUDED.high, low = EXCLUDED.low, close = EXCLUDED.close, volume = EXCLUDED.volume",
                           candles, page_size=1000)
        return rows / (time.perf_counter() - start)

    def count():
        with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*), round(sum(close)::numeric, 3) FROM market_data")
            return cursor.fetchone()

    run_ours()
    ours = count()
    for name, peer, must in [("COPY + upsert", run_copy_upsert, 0.8), ("execute_values upsert", run_execute_values, 3.0)]:
        peer()
        if ours != count():
            raise SystemExit(f"error: the imports differ: {ours} and {count()}")
        left, right = alternate(run_ours, peer)
        emit("import_csv", "rows/s", left, right, name, must, None, threads=1, checked=f"{rows} rows, same sum of closes")
    note("import: both sides end with their transaction committed")


if __name__ == "__main__":
    sys.exit(main())
