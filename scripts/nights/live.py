"""Weeks of days on real candles, as cron would run them: a local quote server gives each candle once it is closed; collect,
predict, outcomes, train-daily and train-weekly run by --as-of. At the end every closed candle has one signal, every signal
past its horizon one outcome, and a second pass over everything changes nothing. Summary as JSON on stdout's last line."""

import argparse
import bisect
import datetime
import http.server
import json
import pathlib
import shutil
import sys
import tempfile
import threading
import time
import urllib.parse

from common import COMMANDS, ROOT, UTC, Home, due, first_promotion, say, shown
from replay import configure

TWO_MINUTES = datetime.timedelta(minutes=2)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/live.sh", description=__doc__)
    parser.add_argument("--candles", nargs="+", default=[], help="candle files [default: five hourly pairs of ../shared/data/fx]")
    parser.add_argument("--from", dest="start", default="2018-10-07", help="first day, a Sunday [%(default)s]")
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--aifx", default=str(ROOT / "target" / "release" / "aifx"))
    return parser.parse_args()


class Quotes(http.server.BaseHTTPRequestHandler):
    """Yahoo's chart API over candles in memory."""

    series = {}
    # Head and body in one packet.
    wbufsize = -1

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        ask = urllib.parse.parse_qs(url.query)
        symbol = url.path.rsplit("/", 1)[-1].removesuffix("=X")
        rows = self.series.get((symbol, ask["interval"][0]), [])
        low = bisect.bisect_left(rows, (int(ask["period1"][0]),))
        high = bisect.bisect_right(rows, (int(ask["period2"][0]), float("inf")))
        rows = rows[low:high]
        names = ("open", "high", "low", "close", "volume")
        quote = {name: [row[1 + k] for row in rows] for k, name in enumerate(names)}
        result = {"timestamp": [row[0] for row in rows], "indicators": {"quote": [quote]}}
        body = json.dumps({"chart": {"result": [result], "error": None}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def fill(source, files):
    """Every candle of the files, through aifx's own import, into the quote server."""
    configure(source, files)
    intervals = {"1min": "1m", "1d": "1d", "1w": "1wk", "1M": "1mo", "5min": "5m", "15min": "15m", "30min": "30m", "1h": "1h"}
    for key in source.sql("SELECT DISTINCT pair, timeframe FROM market_data"):
        rows = source.sql(
            "SELECT extract(epoch FROM timestamp)::int8 AS at, open, high, low, close, volume FROM market_data "
            f"WHERE pair = '{key['pair']}' AND timeframe = '{key['timeframe']}' ORDER BY timestamp"
        )
        symbol = key["pair"].replace("/", "")
        Quotes.series[symbol, intervals[key["timeframe"]]] = [
            (row["at"], row["open"], row["high"], row["low"], row["close"], row["volume"]) for row in rows
        ]


def ticks(start, days):
    """What cron starts, hour by hour: (instant, command)."""
    for k in range(days):
        day = start + datetime.timedelta(days=k)
        jobs = {at: [] for at, _ in due(day)}
        for at, job in due(day):
            jobs[at].append(job)
        for hour in range(24):
            at = datetime.datetime.combine(day, datetime.time(hour), UTC)
            yield at + TWO_MINUTES, ["collect"]
            yield at + TWO_MINUTES, ["predict"]
            yield at + TWO_MINUTES, ["outcomes"]
            for job in jobs.get(at, []):
                if job != "monthly":
                    yield at + 2 * TWO_MINUTES, [COMMANDS[job], "--wait", "60"]


def main():
    options = arguments()
    files = options.candles
    if not files:
        folder = ROOT.parent / "shared" / "data" / "fx"
        files = [str(folder / f"{pair}_1h.csv") for pair in ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCAD")]
        if not all(pathlib.Path(file).exists() for file in files):
            raise SystemExit("error: no candles given\n  hint: scripts/live.sh --candles FILE…, hourly candles of some months")
    homes = [Home(tempfile.mkdtemp(prefix=f"aifx-live-{name}-"), options.aifx) for name in ("source", "days")]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quotes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        live(*homes, files, options, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        for home in homes:
            home.run("db", "stop", allowed=range(256))
            shutil.rmtree(home.folder, ignore_errors=True)


def live(source, home, files, options, url):
    began = time.monotonic()
    fill(source, files)
    configure_days(source, home, url)
    first = datetime.date.fromisoformat(options.start)
    start = datetime.datetime.combine(first, datetime.time(1), UTC)
    home.run("import", "--on-bad-row", "skip", *files, at=start)
    document = home.run("train-weekly", at=start)[1]
    say(f"{shown(start)} {document['version']}: {first_promotion(home, document, start, 'live: the first version of the line')}")
    at, slowest = start, {}
    for at, command in ticks(first, options.days):
        if at <= start:
            continue
        status, document, err, took = home.run(*command, at=at, allowed=range(256))
        slowest[command[0]] = max(slowest.get(command[0], 0.0), took)
        if status != 0:
            raise SystemExit(f"error: {command[0]} at {shown(at)} ended {status}:\n{err}")
        if command[0].startswith("train"):
            say(f"{shown(at)} {command[0]}: {document['status']} {document.get('version') or ''} {document.get('reason') or ''}")
    print(json.dumps(account(home, start, at) | {"slowest_s": slowest, "seconds": round(time.monotonic() - began, 1)}))


def configure_days(source, home, url):
    home.run("init")
    text = (source.folder / "aifx.yaml").read_text()
    lines = [f'collect: {{url: "{url}", requests_per_second: 1000}}' if line.startswith("collect:") else line
             for line in text.splitlines()]  # fmt: skip
    (home.folder / "aifx.yaml").write_text("\n".join(lines) + "\n")


def account(home, start, end):
    """What the tables hold, and what a second pass over everything changes."""
    one = lambda query: home.sql(query)[0]["n"]
    hour = "interval '1 hour'"
    window = f"timestamp + {hour} > '{shown(start)}' AND timestamp + {hour} <= '{shown(end)}'"
    candles = one(f"SELECT count(*) AS n FROM market_data WHERE timeframe = '1h' AND {window}")
    answered = one(
        "SELECT count(*) AS n FROM market_data m WHERE timeframe = '1h' AND " + window + " AND "
        "(SELECT count(*) FROM trading_signals s WHERE s.pair = m.pair AND s.timeframe = m.timeframe "
        "AND s.candle_timestamp = m.timestamp AND NOT s.shadow) = 1"
    )
    # A signal is ripe once a candle has closed at or after its end.
    ripe = (
        "FROM trading_signals s WHERE abstained IS NULL AND expires_at <= "
        f"(SELECT max(timestamp) + {hour} FROM market_data m WHERE m.pair = s.pair AND m.timeframe = s.timeframe)"
    )
    summary = {
        "candles": candles,
        "answered_once": answered,
        "signals": one("SELECT count(*) AS n FROM trading_signals"),
        "abstained": one("SELECT count(*) AS n FROM trading_signals WHERE abstained IS NOT NULL"),
        "ripe": one(f"SELECT count(*) AS n {ripe}"),
        "settled": one(f"SELECT count(*) AS n {ripe} AND outcome IS NOT NULL"),
        "by_signal": {row["signal"]: row["n"] for row in home.sql("SELECT signal, count(*) AS n FROM trading_signals GROUP BY 1 ORDER BY 1")},
        "pnl_net": home.sql("SELECT round(sum(pnl_net)::numeric, 6)::float8 AS n FROM trading_signals")[0]["n"],
    }
    collected = home.run("collect", at=end)[1]["series"]
    changes = sum(one["inserted"] + one["updated"] for one in collected)
    changes += home.run("predict", at=end)[1]["n_new"] + home.run("outcomes", at=end)[1]["settled"]
    return summary | {"second_pass_changes": changes}


if __name__ == "__main__":
    sys.exit(main())
