"""What the nights are worth. Plays cron's jobs by --as-of as `aifx init` configures them (what differs is printed as `deviates`):
train-weekly on Sundays, train-daily each night, predict so often that production answers every candle, outcomes, and with
--monitor the monitor. Then every policy is held against the same settled candles, trading day by trading day:

  never   the first version, never replaced          prior  class shares of the newest training from scratch
  newest  the newest version, promoted or not        aifx   what was answered when the candles closed
  weekly  the newest training from scratch           mean   equal weights of production's members
  best    with --simulate: the training from scratch (or the prior) that was the best of those made by then over the stretch
          between two changes of the edge's sign, as one knows afterwards

Versions speak by their own networks (`aifx backtest VERSION --answers`). log_loss in nats; skill: that of the prior less its own;
saves: mean over trading days of log-loss of a policy less that of aifx, + = aifx is better, se = sd/sqrt(days). One line a night on
stderr; the last line on stdout is JSON."""

import argparse
import collections
import csv
import datetime
import json
import math
import pathlib
import shutil
import statistics
import sys
import tempfile
import time
import zoneinfo

import settings
from common import COMMANDS, LINE, ROOT, UTC, Home, due, first_promotion, instant, say, shown
from replay import series_of

NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
DEFAULT_PAIRS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCAD")
# Candles after the last day, so that its labels and positions settle.
SETTLING = datetime.timedelta(days=7)
FIRST_REASON = "policies: the first version of the line"


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/policies.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candles", nargs="+", default=[], metavar="FILE", help="plain or gzipped [default: five hourly pairs of ../shared/data/fx]")
    parser.add_argument("--from", dest="start", default="2018-07-01", metavar="DAY", help="first day, a Sunday [%(default)s]")
    parser.add_argument("--days", type=int, default=182)
    parser.add_argument("--label", type=float, metavar="MULTIPLE", help="instead of the shipped one")
    parser.add_argument("--seed", type=int, help="of aifx, and of the simulated market")
    parser.add_argument("--simulate", metavar="EDGE,DRIFT", help="a made-up market whose edge changes its sign with the chance DRIFT a week")
    parser.add_argument("--monitor", action="store_true", help="run the monitor each evening; it starts trainings")
    parser.add_argument("--set", dest="changes", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="as aifx.yaml names it, such as weekly.epochs=2")
    parser.add_argument("--aifx", default=str(ROOT / "target" / "release" / "aifx"))
    options = parser.parse_args()
    if options.simulate:
        if options.candles:
            parser.error("--simulate makes its own candles")
        try:
            options.edge, options.drift = map(float, options.simulate.split(","))
        except ValueError:
            parser.error("--simulate wants EDGE,DRIFT, such as 1,0.05")
    for change in options.changes:
        if "=" not in change:
            parser.error(f"--set wants KEY=VALUE, not {change}")
    return options


def trading_day(at):
    """The day that begins at 17:00 New York on the calendar day before; Saturday and Sunday count to Monday."""
    date = (at.astimezone(NEW_YORK).replace(tzinfo=None) + datetime.timedelta(hours=7)).date()
    return date + datetime.timedelta(days={5: 2, 6: 1}.get(date.weekday(), 0))


class Clock:
    def __init__(self):
        self.began = self.last = time.monotonic()

    def lap(self):
        now = time.monotonic()
        text = f"{now - self.last:.1f} s, {now - self.began:.0f} s in all"
        self.last = now
        return text


def prepare(home, options):
    """The home with its candles; what deviates from `init`, and when a simulated edge changes its sign."""
    home.run("init")
    changes = {}
    files = options.candles
    if not options.simulate:
        if not files:
            folder = ROOT.parent / "shared" / "data" / "fx"
            files = [str(folder / f"{pair}_1h.csv") for pair in DEFAULT_PAIRS]
            if not all(pathlib.Path(file).exists() for file in files):
                raise SystemExit("error: no candles given\n  hint: scripts/policies.sh --candles FILE…, or --simulate 1,0.05")
        changes |= series_of(home, files)
    if options.label is not None:
        changes["label.multiple"] = options.label
    if options.seed is not None:
        changes["seed"] = options.seed
    changes |= dict(change.split("=", 1) for change in options.changes)
    deviates = settings.configure(home, changes, LINE)
    if not options.simulate:
        home.run("import", "--on-bad-row", "skip", *files)
        return deviates, []
    days = int({one["key"]: one["value"] for one in home.run("config", "show")[1]["settings"]}[f"lines.{LINE}.weekly.days"])
    end = datetime.datetime.combine(datetime.date.fromisoformat(options.start), datetime.time(), UTC)
    end += datetime.timedelta(days=options.days) + SETTLING
    # Hours that trade, of the days played, those learned from, and some to warm up.
    candles = (options.days + days + 40) * 24 * 5 // 7
    document = home.run(
        "simulate", "--candles", candles, "--seed", options.seed or 1, "--edge", options.edge, "--drift", options.drift, "--end", shown(end)
    )[1]  # fmt: skip
    return deviates, [instant(at) for at in document["changes"]]


def play(home, options, clock):
    """Cron's nights. When they began and ended, how the first version came in, and how the jobs ended."""
    first = datetime.date.fromisoformat(options.start)
    if first.weekday() != 6:
        raise SystemExit(f"error: {first} is no Sunday, on which train-weekly runs")
    start = datetime.datetime.combine(first, datetime.time(1), UTC)
    document = home.run("train-weekly", at=start)[1]
    if document["version"] is None:
        raise SystemExit(f"error: the first training made no version: {document['reason']}")
    forced = not document["promoted"]
    how = first_promotion(home, document, start, FIRST_REASON)
    say(f"{shown(start)} {document['version']}: {how}; {clock.lap()}")
    ends = collections.Counter()

    def answer(at):
        home.run("predict", at=at)
        home.run("outcomes", at=at)

    for k in range(options.days):
        day = first + datetime.timedelta(days=k)
        midnight = datetime.datetime.combine(day, datetime.time(), UTC)
        said = []
        if k > 0:
            # What production has to answer, it answers before a job may replace it.
            answer(midnight + datetime.timedelta(minutes=55))
            for at, job in due(day):
                if job == "monthly":
                    continue
                status, document, err, _ = home.run(COMMANDS[job], at=at, allowed=(0, 4))
                word = document.get("status", "failed") if status == 0 else "failed"
                ends[f"{job} {word}"] += 1
                said.append(f"{job} {word} {(document.get('version') or '') if status == 0 else err.strip()}".strip())
        if day.weekday() != 5:
            if options.monitor:
                evening = midnight + datetime.timedelta(hours=21, minutes=30)
                answer(evening)
                seen = home.run("monitor", at=evening)[1]["lines"][0]
                said += [f"{one['job']} by the monitor: {one['ended']}" for one in seen["triggers"] if one["ended"]]
            # Before midnight: the weights of a day are those that its own answers have not made.
            answer(midnight + datetime.timedelta(hours=23, minutes=59))
        say(f"{day} {'; '.join(said) or 'no job'}; {clock.lap()}")
    end = datetime.datetime.combine(first + datetime.timedelta(days=options.days), datetime.time(0, 55), UTC)
    answer(end)
    home.run("outcomes", at=end + SETTLING)
    return start, end, "forced" if forced else "gate", ends


class Versions:
    """What every version's own network said, as far as it is wanted."""

    def __init__(self, home, start, end):
        self.home, self.start, self.end = home, start, end
        rows = home.sql("SELECT version, parent_version, created_at FROM model_versions ORDER BY created_at, id")
        self.made = [(instant(row["created_at"]), row["version"], row["parent_version"] is None) for row in rows]
        self.created = {version: at for at, version, _ in self.made}
        self.scratch = [(at, version) for at, version, is_scratch in self.made if is_scratch]
        self.wanted = {}
        self.answers = {}
        self.classes = None

    def want(self, version, begin, end):
        old = self.wanted.get(version, (begin, end))
        self.wanted[version] = (min(old[0], begin), max(old[1], end))

    def succession(self, made):
        """From each version on, until the next one is made."""
        return [(version, at, made[i + 1][0] if i + 1 < len(made) else self.end) for i, (at, version) in enumerate(made)]

    def gather(self, as_of, clock):
        hour = datetime.timedelta(hours=1)
        for version, (begin, end) in sorted(self.wanted.items()):
            if end <= begin:
                continue
            file = self.home.folder / f"{version}.csv"
            status, document, err, _ = self.home.run(
                "backtest", version, "--answers", file, "--start", shown(begin - 2 * hour), "--end", shown(end), at=as_of, allowed=(0, 4)
            )  # fmt: skip
            self.answers[version] = {}
            if status != 0:
                say(f"{version} has nothing to answer: {err.strip()}")
                continue
            self.classes = document["classes"]
            with file.open() as rows:
                for row in csv.DictReader(rows):
                    key = row["pair"], row["timeframe"], instant(row["candle"])
                    probabilities = [float(row[f"p_{name.replace(' ', '_')}"]) for name in self.classes]
                    net = [float(row[side]) if row[side] else None for side in ("net_sell", "net_buy")]
                    self.answers[version][key] = probabilities, row["label"], instant(row["decided_at"]), net
            file.unlink()
        say(f"{len(self.answers)} versions answered; {clock.lap()}")


def at_time(made, at):
    """The newest of (instant, version) at an instant."""
    found = [version for when, version in made if when <= at]
    return found[-1] if found else None


def nats(probabilities, truth):
    return -math.log(max(probabilities[truth], 1e-15))


def side_of(name):
    return "sell" if "sell" in name else "buy" if "buy" in name else "hold"


def compare(home, options, start, end, changes, clock):
    versions = Versions(home, start, end)
    made = [(at, version) for at, version, _ in versions.made]
    first = made[0][1]
    versions.want(first, start, end)
    for succession in (versions.succession(made), versions.succession(versions.scratch)):
        for version, begin, until in succession:
            versions.want(version, begin, until)
    rows = home.sql(
        "SELECT s.pair, s.timeframe, s.candle_timestamp AS candle, s.model_version AS version, s.signal, s.probabilities, "
        "s.position_size AS size, s.entry_price AS entry, s.pnl_net, s.closed_at, m.probabilities AS parts FROM trading_signals s "
        "LEFT JOIN member_answers m ON m.line = s.line AND m.version = s.model_version AND m.pair = s.pair AND m.timeframe = s.timeframe "
        "AND m.candle_timestamp = s.candle_timestamp "
        "WHERE NOT s.shadow AND s.abstained IS NULL AND s.probabilities IS NOT NULL ORDER BY s.candle_timestamp"
    )
    if options.simulate:
        for at, version in versions.scratch:
            versions.want(version, at, end)
    versions.gather(end + SETTLING, clock)
    priors = {
        row["version"]: [one["share"] for one in row["class_balance"]["classes"]]
        for row in home.sql("SELECT version, class_balance FROM model_training_log WHERE training_type = 'full' AND version IS NOT NULL AND class_balance IS NOT NULL")
    }
    said = {}
    for row in rows:
        key = row["pair"], row["timeframe"], instant(row["candle"])
        truth = versions.answers[first].get(key)
        if truth is None or not truth[1] or key[2] >= end:
            continue
        _, label, decided, net = truth
        said[key] = {"row": row, "decided": decided, "truth": versions.classes.index(label), "net": net, "of": {}}
    names = ["never", "newest", "weekly", "prior", "aifx", "mean"] + (["best"] if options.simulate else [])
    stretches = stretch_losses(versions, priors, said, changes) if options.simulate else {}
    lost = collections.Counter()
    for key, one in said.items():
        of, decided, row = one["of"], one["decided"], one["row"]
        own = lambda version: versions.answers.get(version, {}).get(key, (None,))[0]
        scratch = at_time(versions.scratch, decided)
        of["never"], of["newest"], of["weekly"] = own(first), own(at_time(made, decided)), own(scratch)
        of["prior"] = priors.get(scratch)
        of["aifx"] = [row["probabilities"].get(name) for name in versions.classes]
        of["mean"] = of["aifx"]
        if row["parts"]:
            # One row of classes a component: the class prior, then the members.
            n = len(versions.classes)
            members = [row["parts"][at : at + n] for at in range(n, len(row["parts"]), n)]
            of["mean"] = [sum(column) / len(members) for column in zip(*members)]
        if options.simulate:
            stretch = sum(at <= decided for at in changes)
            known = {name: loss for name, (loss, at) in stretches[stretch].items() if at <= decided}
            best = min(known, key=known.get)
            of["best"] = priors.get(scratch) if best == "prior" else own(best)
        lost.update(name for name in names if not of.get(name))
    kept = {key: one for key, one in said.items() if all(one["of"].get(name) for name in names)}
    if len(kept) < len(said):
        say(f"{len(said) - len(kept)} of {len(said)} candles are left out: {dict(lost)}")
    if not kept:
        raise SystemExit("error: no settled candle was answered by every policy")
    return versions, names, kept


def stretch_losses(versions, priors, said, changes):
    """Mean log-loss of each training from scratch, and of the prior, over the stretches between changes of the edge's sign, each on what
    came after it was made: {stretch: {name: (loss, made at)}}."""
    sums = collections.defaultdict(lambda: collections.defaultdict(lambda: [0.0, 0]))
    for key, one in said.items():
        stretch = sum(at <= one["decided"] for at in changes)
        for at, version in versions.scratch:
            found = versions.answers.get(version, {}).get(key)
            if found and at <= one["decided"]:
                total = sums[stretch][version]
                total[0] += nats(found[0], one["truth"])
                total[1] += 1
        prior = priors.get(at_time(versions.scratch, one["decided"]))
        if prior:
            total = sums[stretch]["prior"]
            total[0] += nats(prior, one["truth"])
            total[1] += 1
    beginning = datetime.datetime.min.replace(tzinfo=UTC)
    return {
        stretch: {name: (total / n, versions.created.get(name, beginning)) for name, (total, n) in names.items()}
        for stretch, names in sums.items()
    }


def figures(versions, names, kept):
    """Each policy by itself, and what aifx saves against it day by day."""
    policies, losses = {}, {name: collections.defaultdict(list) for name in names}
    for name in names:
        calls, nets, right = collections.Counter(), [], 0
        for one in kept.values():
            probabilities = one["of"][name]
            answer = max(range(len(probabilities)), key=lambda i: (probabilities[i], -i))
            losses[name][trading_day(one["decided"])].append(nats(probabilities, one["truth"]))
            right += answer == one["truth"]
            call = versions.classes[answer]
            calls[call] += 1
            if side_of(call) != "hold":
                net = one["net"][0 if side_of(call) == "sell" else 1]
                nets += [net] if net is not None else []
        n = len(kept)
        policies[name] = {
            "log_loss": statistics.fmean(loss for day in losses[name].values() for loss in day),
            "accuracy": right / n,
            "shares": {call: calls[call] / n for call in versions.classes},
            # Only what was answered when the candles closed was given a size.
            "trades": None,
            "net_bp": None,
            "calls_net_bp": 1e4 * statistics.fmean(nets) if nets else None,
        }
    for name in names:
        policies[name]["skill"] = policies["prior"]["log_loss"] - policies[name]["log_loss"]
    saves = {}
    for name in names:
        if name == "aifx":
            continue
        days = [statistics.fmean(losses[name][day]) - statistics.fmean(losses["aifx"][day]) for day in losses["aifx"]]
        se = statistics.stdev(days) / math.sqrt(len(days)) if len(days) > 1 else None
        saves[name] = {"mean": statistics.fmean(days), "se": se, "n_days": len(days)}
    return policies, saves


def account(kept, policies):
    """What was answered when the candles closed, as trades: the figures of `aifx`, and those of the account."""
    calls = [one["row"] for one in kept.values()]
    sides = [row for row in calls if row["signal"].lower() in ("buy", "sell")]
    paid = lambda row: row["pnl_net"] / row["entry"]
    settled = [row for row in sides if row["pnl_net"] is not None]
    sized = [row for row in settled if (row["size"] or 0) > 0]
    equity = 1.0
    for row in sorted(sized, key=lambda row: row["closed_at"] or ""):
        equity *= 1 + row["size"] * paid(row)
    policies["aifx"] |= {
        "trades": len(sized),
        "net_bp": 1e4 * statistics.fmean(map(paid, sized)) if sized else None,
        "calls_net_bp": 1e4 * statistics.fmean(map(paid, settled)) if settled else None,
    }
    return {
        "hold_share": sum(row["signal"].lower() == "hold" for row in calls) / len(calls),
        "sized_share": sum((row["size"] or 0) > 0 for row in sides) / len(sides) if sides else None,
        "account_return": equity - 1,
    }


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def main():
    options = arguments()
    clock = Clock()
    home = Home(tempfile.mkdtemp(prefix="aifx-policies-"), options.aifx)
    try:
        deviates, changes = prepare(home, options)
        say(f"deviates from aifx init: {deviates or 'nothing'}; {clock.lap()}")
        start, end, first, ends = play(home, options, clock)
        versions, names, kept = compare(home, options, start, end, changes, clock)
        policies, saves = figures(versions, names, kept)
        trades = account(kept, policies)
        moves = home.sql("SELECT count(*) AS n FROM model_promotions WHERE action = 'promote'")[0]["n"] - 1
        ages = [(one["decided"] - versions.created[one["row"]["version"]]).total_seconds() / 86400 for one in kept.values()]
    finally:
        home.run("db", "stop", allowed=range(256))
        shutil.rmtree(home.folder, ignore_errors=True)
    print(json.dumps({
        "days": options.days, "n": len(kept), "first": first, "deviates": deviates, "policies": policies, "saves": saves,
        "promotions": moves, "age_days": {"median": statistics.median(ages), "p90": quantile(ages, 0.9)},
        **trades, "runs": dict(ends), "changes": [shown(at) for at in changes if start <= at < end],
        "seconds": round(time.monotonic() - clock.began, 1),
    }))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
