"""The jobs of a day: predict for 5 and for 500 pairs with one new candle each (cold process), outcomes over 100,000 open signals,
collect of 500 pairs from a local server. No peer does this: the limits are those of the issue."""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from common import AIFX, emit, note, peak_mib

AS_OF = "2025-10-16T12:00:00Z"
FIVE = ["EUR/USD", "GBP/USD", "USD/JPY", "AUD/USD", "USD/CAD"]
MANY = [f"P{k:03}/USD" for k in range(500)]


def yaml(pairs, url):
    return (
        f"collect: {{url: '{url}', requests_per_second: 1000}}\n"
        f"lines:\n  fx-direction:\n    pairs: [{', '.join(pairs)}]\n    weekly: {{days: 60, epochs: 1, min_samples: 300}}\n"
    )


class Empty(http.server.BaseHTTPRequestHandler):
    """Yahoo's answer with one new candle at 12:00."""

    protocol_version = "HTTP/1.1"
    # Head and body in one packet: two wait 40 ms for each other (Nagle and delayed acknowledgement).
    wbufsize = -1
    at = 1760616000

    def do_GET(self):
        quote = {"open": [1.1], "high": [1.11], "low": [1.09], "close": [1.1], "volume": [0]}
        body = json.dumps({"chart": {"result": [{"timestamp": [self.at], "indicators": {"quote": [quote]}}], "error": None}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    home = pathlib.Path(tempfile.mkdtemp(prefix="aifx-bench-"))
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"

    def command(*arguments, at=AS_OF):
        return [str(AIFX), "--home", str(home), "--quiet", "--as-of", at, *map(str, arguments)]

    def run(*arguments, at=AS_OF):
        start = time.perf_counter()
        text = subprocess.run([*command(*arguments, at=at), "--json"], check=True, stdout=subprocess.PIPE, text=True,
                              env=environment).stdout  # fmt: skip
        return json.loads(text), time.perf_counter() - start

    def sql(text):
        import psycopg2

        address = json.loads(subprocess.run(command("db", "status", "--json"), check=True, stdout=subprocess.PIPE, text=True,
                                            env=environment).stdout)["url"]  # fmt: skip
        with psycopg2.connect(f"host={address.split('host=')[1]} user=aifx dbname=aifx") as connection, connection.cursor() as cursor:
            cursor.execute(text)

    def figure(bench, unit, values, **more):
        emit(bench, unit, values, None, None, None, None, "lower", os.cpu_count(), **more)

    try:
        (home / "aifx.yaml").write_text(yaml(FIVE, url))
        run("init")
        run("simulate", "--pairs", ",".join(FIVE), "--candles", "1600", "--end", AS_OF)
        run("simulate", "--pairs", ",".join(MANY), "--candles", "900", "--end", AS_OF)
        run("train-weekly", "--no-promote")
        run("promote", "v1.0", "--force", "--reason", "benchmark")
        for name, pairs in (("5", FIVE), ("500", MANY)):
            (home / "aifx.yaml").write_text(yaml(pairs, url))
            run("predict", at="2025-10-16T11:00:00Z")
            seconds, parts = [], {}
            for _ in range(3):
                document, took = run("predict")
                assert document["n_new"] == len(pairs), document
                seconds.append(took)
                parts = document["seconds"] | {"start": took - document["seconds"]["total"]}
                sql("DELETE FROM trading_signals WHERE candle_timestamp = '2025-10-16T11:00Z'")
            figure(f"predict_{name}_pairs", "s", seconds, parts=parts, goal_s=3.0 if name == "500" else None, checked=f"{len(pairs)} new signals")
        _, mib = peak_mib(command("predict"), env=environment)
        figure("predict_500_pairs_memory", "MiB", [mib])
        seconds = []
        for _ in range(3):
            sql("DELETE FROM trading_signals")
            sql("""INSERT INTO trading_signals (line, model_version, pair, timeframe, signal, candle_timestamp, entry_price, stop_loss, take_profit, expires_at)
                   SELECT 'fx-direction', 'v1.0', pair, timeframe, CASE WHEN n % 2 = 0 THEN 'buy' ELSE 'sell' END, timestamp, close,
                          CASE WHEN n % 2 = 0 THEN close * 0.995 ELSE close * 1.005 END, CASE WHEN n % 2 = 0 THEN close * 1.01 ELSE close * 0.99 END,
                          timestamp + interval '5 hours'
                   FROM (SELECT *, row_number() OVER () AS n FROM market_data WHERE pair LIKE 'P%' AND timestamp < '2025-10-15' ORDER BY timestamp DESC LIMIT 100000) m""")
            document, took = run("outcomes")
            assert document["settled"] == 100000, document
            seconds.append(took)
        figure("outcomes_100000", "s", seconds, goal_s=2.0, checked="100,000 settled")
        document, took = run("collect", at="2025-10-16T13:01:00Z")
        figure("collect_500_pairs", "s", [took], checked=f"{sum(one['inserted'] for one in document['series'])} new candles")
    finally:
        server.shutdown()
        subprocess.run([str(AIFX), "--home", str(home), "--quiet", "db", "stop"], stdout=subprocess.DEVNULL, env=environment)
        shutil.rmtree(home, ignore_errors=True)
    note("days: each figure is a whole process, LibTorch's start included where it is needed")


if __name__ == "__main__":
    sys.exit(main())
