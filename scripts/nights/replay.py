"""Weeks of nights on real candles, as cron would have run them: daily, weekly and monthly by --as-of, ending in a monthly
report. One line a run on stderr, the summary as JSON on stdout's last line."""

import argparse
import collections
import datetime
import json
import pathlib
import shutil
import sys
import tempfile

import settings
from common import COMMANDS, LINE, ROOT, Home, due, first_promotion, instant, say, shown


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/replay.sh", description=__doc__)
    parser.add_argument("files", nargs="*", help="candle files [default: five hourly pairs of ../shared/data/fx]")
    parser.add_argument("--from", dest="start", default="2018-10-07", help="first day, a Sunday [%(default)s]")
    parser.add_argument("--weeks", type=int, default=8)
    parser.add_argument("--home", help="keep the home in this folder, which must be new")
    parser.add_argument("--aifx", default=str(ROOT / "target" / "release" / "aifx"))
    return parser.parse_args()


def configure(home, files):
    """A home as `init` makes it, with the candles of the files; what deviates: pairs and timeframes, where they are others."""
    home.run("init")
    deviates = settings.configure(home, series_of(home, files), LINE)
    home.run("import", *files)
    return deviates


def series_of(home, files):
    """Pairs and timeframes of files, where they are not those that the line has."""
    seen = home.run("import", "--inspect", *files)[1]["files"]
    shipped = {one["key"]: one["value"] for one in home.run("config", "show")[1]["settings"]}
    found = {"pairs": {file["pair"] for file in seen}, "timeframes": {file["timeframe"] for file in seen}}
    return {key: f"[{', '.join(sorted(have))}]" for key, have in found.items() if have != set(shipped[f"lines.{LINE}.{key}"])}


def verdict(document):
    gate = document.get("gate") or {}
    if gate.get("passed") is None:
        return "no verdict", []
    refusing = [rule["name"] for rule in gate["rules"] if rule["verdict"] not in ("passed", "shown")]
    return ("passed" if gate["passed"] else "refused"), refusing


def main():
    options = arguments()
    files = options.files
    if not files:
        folder = ROOT.parent / "shared" / "data" / "fx"
        files = [str(folder / f"{pair}_1h.csv") for pair in ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCAD")]
        if not all(pathlib.Path(file).exists() for file in files):
            raise SystemExit("error: no candles given\n  hint: scripts/replay.sh FILE…, hourly candles of some months")
    keep = options.home is not None
    folder = options.home or tempfile.mkdtemp(prefix="aifx-replay-")
    if keep and pathlib.Path(folder).exists():
        raise SystemExit(f"error: {folder} is there already\n  hint: the replay begins with an empty home")
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    home = Home(folder, options.aifx)
    try:
        replay(home, files, options, keep)
    finally:
        home.run("db", "stop", allowed=range(256))
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def replay(home, files, options, keep):
    deviates = configure(home, files)
    first = datetime.date.fromisoformat(options.start)
    days = [first + datetime.timedelta(days=k) for k in range(7 * options.weeks + 1)]
    counts = {job: collections.Counter() for job in COMMANDS}
    rules = {job: collections.Counter() for job in COMMANDS}
    seconds = {job: [] for job in COMMANDS}
    tests = []
    started = False
    document = {}
    for day in days:
        for at, job in due(day):
            if not started and job != "weekly":
                continue
            status, document, err, took = home.run(COMMANDS[job], "--wait", "60", at=at, allowed=range(256))
            if status != 0:
                say(f"{shown(at)} {job:7} FAILED {status}: {err.strip()}")
                counts[job]["failed"] += 1
                continue
            note = one(job, document, counts, rules, tests)
            seconds[job].append(took)
            if not started:
                note += "; " + first_promotion(home, document, at, "replay: the first version of the line")
                started = True
            say(f"{shown(at)} {job:7} {took:5.1f} s  {note}")
    last = datetime.datetime.combine(days[-1], datetime.time(2), datetime.timezone.utc)
    _, document, _, took = home.run("evaluate-monthly", at=last, force=True)
    say(f"{shown(last)} monthly {took:5.1f} s  {one('monthly', document, counts, rules, tests)}")
    home.run("models", "verify")
    for file in document.get("files", []):
        say(f"report: {file}")
    n = sum(test["n"] for test in tests)
    production = next((row for row in document["versions"] if row["status"] == "production"), {})
    summary = {
        "weeks": options.weeks,
        "deviates": deviates,
        "runs": {job: dict(counter) for job, counter in counts.items()},
        "refused_by": {job: dict(counter.most_common()) for job, counter in rules.items()},
        "median_s": {job: sorted(times)[len(times) // 2] for job, times in seconds.items() if times},
        "weekly_test": {
            "n": n,
            "accuracy": sum(test["n"] * test["accuracy"] for test in tests) / n if n else None,
            "majority_accuracy": sum(test["n"] * test["majority"] for test in tests) / n if n else None,
        },
        "production_last_month": {
            "version": production.get("version"),
            "n": production.get("n"),
            "days": production.get("n_days"),
            "accuracy": (production.get("figures") or {}).get("accuracy"),
            "log_loss_saved": production.get("saved"),
        },
        "recommendation": document.get("recommendation"),
        "home": str(home.folder) if keep else None,
    }
    print(json.dumps(summary))


def one(job, document, counts, rules, tests):
    """Counts a run, and says it in a line."""
    status = document["status"]
    if status in ("skipped", "already-done"):
        counts[job][status] += 1
        return f"{status}: {document['reason']}"
    word, refusing = verdict(document)
    counts[job][word] += 1
    rules[job].update(refusing)
    if job == "weekly":
        test, majority = document["test"], document["baselines"]["majority"]
        tests.append({"n": test["n"], "accuracy": test["accuracy"], "majority": majority["accuracy"]})
        what = f"{document['version']} {status}, accuracy {test['accuracy']:.3f} (majority {majority['accuracy']:.3f})"
    elif job == "daily":
        done = sum(morning["left_out"] is None for morning in document["mornings"])
        what = f"{document['version']} {status}, {done} mornings rehearsed"
    else:
        what = f"{len(document['versions'])} versions, best {document['best']}: {document['recommendation']}"
    return f"{what}; gate {word}" + (f" by {', '.join(refusing)}" if refusing else "")


if __name__ == "__main__":
    sys.exit(main())
