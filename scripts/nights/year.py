"""A year of days on real candles, by --as-of: each evening production answers the day's candles, what is ripe is settled and the
monitor looks; nights train as cron would have them. At the end the page of the line is written. The last line is JSON."""

import argparse
import datetime
import json
import pathlib
import shutil
import sys
import tempfile
import time

from common import COMMANDS, ROOT, UTC, Home, due, first_promotion, say, shown
from replay import configure


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/year.sh", description=__doc__)
    parser.add_argument("--candles", nargs="+", default=[], help="candle files [default: two hourly pairs of ../shared/data/fx]")
    parser.add_argument("--from", dest="start", default="2018-01-07", help="first day, a Sunday [%(default)s]")
    parser.add_argument("--days", type=int, default=364)
    parser.add_argument("--epochs", type=int, default=8, help="of the weekly training [%(default)s]")
    parser.add_argument("--page", default="year.html", help="where the page goes [%(default)s]")
    parser.add_argument("--aifx", default=str(ROOT / "target" / "release" / "aifx"))
    return parser.parse_args()


def main():
    options = arguments()
    files = options.candles
    if not files:
        folder = ROOT.parent / "shared" / "data" / "fx"
        files = [str(folder / f"{pair}_1h.csv") for pair in ("EURUSD", "GBPUSD")]
        if not all(pathlib.Path(file).exists() for file in files):
            raise SystemExit("error: no candles given\n  hint: scripts/year.sh --candles FILE…, hourly candles of a year and a half")
    home = Home(tempfile.mkdtemp(prefix="aifx-year-"), options.aifx)
    try:
        year(home, files, options)
    finally:
        home.run("db", "stop", allowed=range(256))
        shutil.rmtree(home.folder, ignore_errors=True)


def year(home, files, options):
    began = time.monotonic()
    deviates = configure(home, files) | {"epochs of train-weekly": str(options.epochs)}
    first = datetime.date.fromisoformat(options.start)
    start = datetime.datetime.combine(first, datetime.time(1), UTC)
    home.run("import", "--on-bad-row", "skip", *files)
    document = home.run("train-weekly", "--epochs", str(options.epochs), at=start)[1]
    say(f"{shown(start)} {document['version']}: {first_promotion(home, document, start, 'year: the first version of the line')}")
    rings = {}
    for k in range(options.days):
        day = first + datetime.timedelta(days=k)
        for at, job in due(day):
            if at > start:
                more = ["--epochs", str(options.epochs)] if job == "weekly" else []
                status, document, err, _ = home.run(COMMANDS[job], *more, at=at, allowed=range(256))
                if status != 0 or job == "weekly":
                    say(f"{shown(at)} {job}: {document['status'] if status == 0 else err}")
        evening = datetime.datetime.combine(day, datetime.time(21, 30), UTC)
        if day.weekday() == 5:
            continue
        for command in (["predict"], ["outcomes"], ["monitor"]):
            status, document, err, _ = home.run(*command, at=evening, allowed=range(256))
            if status != 0:
                raise SystemExit(f"error: {command[0]} at {shown(evening)} ended {status}:\n{err}")
        seen = document["lines"][0]
        for alarm in seen["alarms"]:
            if alarm["rings"]:
                rings[alarm["name"]] = rings.get(alarm["name"], 0) + 1
        for trigger in seen["triggers"]:
            if trigger["ended"]:
                say(f"{shown(evening)} {trigger['job']}: {trigger['ended']}, for {trigger['reason']}")
    end = datetime.datetime.combine(first + datetime.timedelta(days=options.days - 1), datetime.time(21, 45), UTC)
    page = pathlib.Path(options.page).resolve()
    document = home.run("report", "--days", "364", "--out", str(page), at=end)[1]
    moves = home.sql("SELECT action, count(*) AS n FROM model_promotions GROUP BY action")
    print(json.dumps({
        "days": options.days,
        "deviates": deviates,
        "headline": document["headline"],
        "page_bytes": document["size_bytes"],
        "moves": {row["action"]: row["n"] for row in moves},
        "evenings_ringing": rings,
        "seconds": round(time.monotonic() - began, 1),
    }))


if __name__ == "__main__":
    sys.exit(main())
