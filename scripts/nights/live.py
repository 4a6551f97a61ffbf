"""Weeks of days on real candles, as cron would run them: a local quote server gives each candle once it is closed; collect,
predict, outcomes, monitor, train-daily and train-weekly run by --as-of. At the end every closed candle has one signal, every signal
past its horizon one outcome, what they paid is what the backtest of the same versions says, and a second pass over everything
changes nothing. With --faults commands are killed and the database restarts under them: `tables` must come out the same.
Summary as JSON on stdout's last line."""

import argparse
import bisect
import datetime
import http.server
import json
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time
import urllib.parse

import settings
from common import COMMANDS, LINE, ROOT, UTC, Home, due, first_promotion, instant, say, shown
from replay import configure, series_of

TWO_MINUTES = datetime.timedelta(minutes=2)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/live.sh", description=__doc__)
    parser.add_argument("--candles", nargs="+", default=[], help="candle files [default: five hourly pairs of ../shared/data/fx]")
    parser.add_argument("--from", dest="start", default="2018-10-07", help="first day, a Sunday [%(default)s]")
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--faults", type=int, metavar="SEED", help="kill commands, restart the database, with Redis and Discord away")
    parser.add_argument("--aifx", default=str(ROOT / "target" / "release" / "aifx"))
    return parser.parse_args()


class Troubled(Home):
    """A home where commands die, the database restarts under them, and nobody hears what happens."""

    def __init__(self, folder, aifx, seed):
        super().__init__(folder, aifx)
        self.random = random.Random(seed)
        self.counts = {"kills": 0, "database restarts": 0}

    def environment(self):
        # Nobody listens on port 1.
        away = {"REDIS_URL": "redis://127.0.0.1:1/0", "DISCORD_WEBHOOK_URL": "http://127.0.0.1:1/hook"}
        return super().environment() | away

    def trouble(self, *command, at):
        """Starts the command as cron would and hurts it; the caller runs it again, as the next start does."""
        way = self.random.choices(["none", "kill", "restart"], [80, 17, 3])[0]
        if way == "none":
            return
        process = self.start(*command, at=at)
        time.sleep(self.random.uniform(0, 6.0 if command[0].startswith("train") else 0.4))
        if way == "kill":
            process.kill()
            self.counts["kills"] += 1
        else:
            self.run("db", "stop", allowed=range(256))
            self.run("db", "start")
            self.counts["database restarts"] += 1
        process.communicate()


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
            yield at + 10 * TWO_MINUTES, ["monitor"]


def main():
    options = arguments()
    files = options.candles
    if not files:
        folder = ROOT.parent / "shared" / "data" / "fx"
        files = [str(folder / f"{pair}_1h.csv") for pair in ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCAD")]
        if not all(pathlib.Path(file).exists() for file in files):
            raise SystemExit("error: no candles given\n  hint: scripts/live.sh --candles FILE…, hourly candles of some months")
    source = Home(tempfile.mkdtemp(prefix="aifx-live-source-"), options.aifx)
    folder = tempfile.mkdtemp(prefix="aifx-live-days-")
    days = Home(folder, options.aifx) if options.faults is None else Troubled(folder, options.aifx, options.faults)
    homes = [source, days]
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
    deviates = configure_days(home, files, url)
    first = datetime.date.fromisoformat(options.start)
    start = datetime.datetime.combine(first, datetime.time(1), UTC)
    home.run("import", "--on-bad-row", "skip", *files, at=start)
    document = home.run("train-weekly", at=start)[1]
    say(f"{shown(start)} {document['version']}: {first_promotion(home, document, start, 'live: the first version of the line')}")
    at, slowest = start, {}
    for at, command in ticks(first, options.days):
        if at <= start:
            continue
        if isinstance(home, Troubled):
            home.trouble(*command, at=at)
        status, document, err, took = home.run(*command, at=at, allowed=range(256))
        slowest[command[0]] = max(slowest.get(command[0], 0.0), took)
        if status != 0:
            raise SystemExit(f"error: {command[0]} at {shown(at)} ended {status}:\n{err}")
        if command[0].startswith("train"):
            say(f"{shown(at)} {command[0]}: {document['status']} {document.get('version') or ''} {document.get('reason') or ''}")
    trouble = {"trouble": home.counts} if isinstance(home, Troubled) else {}
    print(json.dumps({"deviates": deviates} | account(home, start, at) | trouble | {"slowest_s": slowest, "seconds": round(time.monotonic() - began, 1)}))


def configure_days(home, files, url):
    """The line as `init` makes it, with the pairs of the files, and quotes from this machine."""
    home.run("init")
    changes = series_of(home, files) | {"collect.url": f'"{url}"', "collect.requests_per_second": "1000"}
    return settings.configure(home, changes, LINE)


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
    summary |= by_backtest(home, end) | {"tables": digest(home)}
    collected = home.run("collect", at=end)[1]["series"]
    changes = sum(one["inserted"] + one["updated"] for one in collected)
    changes += home.run("predict", at=end)[1]["n_new"] + home.run("outcomes", at=end)[1]["settled"]
    return summary | {"second_pass_changes": changes}


def digest(home):
    """One number for what the tables say, whenever and by how many processes it was written."""
    signals = (
        "SELECT md5(string_agg(concat_ws('|', pair, timeframe, candle_timestamp, model_version, signal, probabilities, abstained, "
        "entry_price, stop_loss, take_profit, position_size, expires_at, outcome, exit_reason, exit_price, closed_at, pnl_net), "
        "E'\\n' ORDER BY pair, timeframe, candle_timestamp, model_version)) AS n FROM trading_signals"
    )
    candles = (
        "SELECT md5(string_agg(concat_ws('|', pair, timeframe, timestamp, open, high, low, close, volume), E'\\n' "
        "ORDER BY pair, timeframe, timestamp)) AS n FROM market_data"
    )
    versions = "SELECT md5(string_agg(concat_ws('|', version, status, parent_version), ',' ORDER BY version)) AS n FROM model_versions"
    return {name: home.sql(query)[0]["n"][:12] for name, query in (("signals", signals), ("candles", candles), ("versions", versions))}


def by_backtest(home, end):
    """The same signals by the backtest: each version over the candles that it answered, in one go."""
    worst, settled = 0.0, 0
    for part in home.sql(
        "SELECT model_version AS version, min(candle_timestamp) AS first, max(candle_timestamp) AS last, count(*) AS n "
        "FROM trading_signals WHERE NOT shadow GROUP BY 1 ORDER BY 2"
    ):
        start, stop = instant(part["first"]), instant(part["last"]) + datetime.timedelta(seconds=1)
        document = home.run("backtest", part["version"], "--each-signal", "--start", shown(start), "--end", shown(stop), at=end)[1]
        if sum(one["n_answers"] for one in document["series"]) != part["n"]:
            raise SystemExit(f"error: {part} was answered otherwise by the backtest: {document}")
        for one in document["series"]:
            stored = home.sql(
                "SELECT coalesce(sum(pnl_net), 0)::float8 AS pnl, count(outcome) AS n FROM trading_signals "
                f"WHERE NOT shadow AND model_version = '{part['version']}' AND pair = '{one['pair']}'"
            )[0]
            # In hundredths of the quote currency for 100,000 units: a cent of a standard lot.
            worst = max(worst, abs(stored["pnl"] - one["pnl_net"]) * 1e5 * 100)
            settled += one["n_settled"]
            if stored["n"] != one["n_settled"]:
                raise SystemExit(f"error: {one} where the table has {stored}")
    return {"backtest_settled": settled, "backtest_differs_cents": round(worst, 6)}


if __name__ == "__main__":
    sys.exit(main())
