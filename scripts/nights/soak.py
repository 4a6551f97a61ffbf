"""A simulated quarter of nights, once without faults and once with: random SIGKILLs, database restarts, double starts,
missed days. Afterwards every invariant holds, every night is accounted for, and both homes are in the same state. Besides,
Sunday the 1st with all three jobs in the same minute, in every order. Progress on stderr; last line on stdout: JSON."""

import argparse
import datetime
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time

import settings
from common import COMMANDS, LINE, ROOT, UTC, Home, due, first_promotion, say, shown

# A small model of few days: what is looked at is that nothing breaks, not what is learned.
CHANGES = {
    "pairs": "[EUR/USD, GBP/USD]", "model.hidden": "[8, 6]", "model.dense": "4", "model.dropout": "[0.1, 0.1, 0.1]",
    "weekly.days": "60", "weekly.epochs": "3", "weekly.min_samples": "300",
    "daily.epochs": "2", "daily.min_samples": "10", "daily.rehearse_days": "6", "threads": "1",
}  # fmt: skip
# Two Sundays the 1st lie in the quarter that follows.
FIRST = datetime.date(2026, 1, 11)
# The machine was off: cron does not make up for it, with faults or without.
OFF = {FIRST + datetime.timedelta(days=k) for k in (40, 41, 42)}


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/soak.sh", description=__doc__)
    parser.add_argument("--nights", type=int, default=90)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--orders", type=int, default=6, help="orders of Sunday the 1st to try [%(default)s]")
    parser.add_argument("--aifx", default=str(ROOT / "target" / "release" / "aifx"))
    return parser.parse_args()


def prepare(folder, aifx, nights):
    home = Home(folder, aifx)
    home.run("init")
    home.deviates = settings.configure(home, CHANGES, LINE)
    end = datetime.datetime.combine(FIRST + datetime.timedelta(days=nights + 1), datetime.time(), UTC)
    # Trading hours of the nights and of 100 days before them.
    candles = int((nights + 100) * 24 * 5 / 7)
    home.run("simulate", "--candles", candles, "--seed", 3, "--edge", 1, "--end", shown(end))
    at = datetime.datetime.combine(FIRST - datetime.timedelta(days=7), datetime.time(1), UTC)
    document = home.run("train-weekly", at=at)[1]
    first_promotion(home, document, at, "soak: the first version of the line")
    return home


class Faults:
    """Breaks a run in one of the ways that nights break; counts what it did."""

    def __init__(self, home, seed):
        self.home, self.random = home, random.Random(seed)
        self.counts = {"kills": 0, "database restarts": 0, "double starts": 0}

    def run(self, job, at):
        way = self.random.choice(["none", "kill", "kill", "restart", "double"])
        if way == "kill":
            self.kill(job, at)
        elif way == "restart":
            self.restart(job, at)
        elif way == "double":
            self.double(job, at)
        # Whatever happened: the next start in the period ends what was begun, or says that it is done.
        status, document, err, took = self.home.run(COMMANDS[job], "--wait", 60, at=at, allowed=range(256))
        if status != 0:
            raise SystemExit(f"error: {job} of {shown(at)} after {way} ended {status}:\n{err}")
        return document

    def kill(self, job, at):
        process = self.home.start(COMMANDS[job], at=at)
        time.sleep(self.random.uniform(0.0, 0.7))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            self.counts["kills"] += 1
        process.communicate()

    def restart(self, job, at):
        process = self.home.start(COMMANDS[job], at=at)
        time.sleep(self.random.uniform(0.0, 0.7))
        self.home.run("db", "stop", allowed=range(256))
        self.home.run("db", "start")
        self.counts["database restarts"] += 1
        process.communicate()

    def double(self, job, at):
        pair = [self.home.start(COMMANDS[job], "--wait", 60, at=at) for _ in range(2)]
        for process in pair:
            _, err = process.communicate()
            if process.returncode != 0:
                raise SystemExit(f"error: a double start of {job} ended {process.returncode}:\n{err}")
        self.counts["double starts"] += 1


def nights(home, n_nights, run):
    """Every night's jobs; what each period came to."""
    account = {}
    for k in range(n_nights):
        day = FIRST + datetime.timedelta(days=k)
        for at, job in due(day):
            key = f"{job} {day}"
            if day in OFF:
                account[key] = "missed"
                continue
            document = run(job, at)
            gate = (document.get("gate") or {}).get("passed")
            status = document["status"]
            account[key] = status if status in ("skipped", "already-done") or gate is None else "done" if gate else "refused"
        if (k + 1) % 15 == 0:
            say(f"  {k + 1} of {n_nights} nights")
    return account


def broken(home):
    """Everything that is not as RELIABILITY wants it."""
    wrong = []
    _, doctor, _, _ = home.run("doctor", allowed=range(256))
    wrong += [f"doctor: {check['name']}: {check['detail']}" for check in doctor["checks"] if check["status"] == "fail"]
    status, verified, _, _ = home.run("models", "verify", allowed=range(256))
    if status != 0:
        wrong.append(f"models verify ended {status}: {verified}")
    folder = home.folder / "models" / LINE
    wrong += [f"half a directory: {path.name}" for path in folder.glob(".incoming-*")]
    productions = home.sql("SELECT version FROM model_versions WHERE status = 'production'")
    if len(productions) != 1:
        wrong.append(f"{len(productions)} production versions")
    elif os.readlink(folder / "production") != productions[0]["version"]:
        wrong.append("the link production lags behind")
    running = home.sql("SELECT run_id FROM model_training_log WHERE status = 'running'")
    wrong += [f"a run that never ended: {row['run_id']}" for row in running]
    doubled = home.sql(
        "SELECT period_key, count(*) AS n FROM model_training_log WHERE status = 'completed' AND NOT forced "
        "GROUP BY line, period_key HAVING count(*) > 1"
    )
    wrong += [f"{row['period_key']} was completed {row['n']} times" for row in doubled]
    rows = {row["version"] for row in home.sql("SELECT version FROM model_versions")}
    there = {path.name for path in folder.iterdir() if path.is_dir() and not path.is_symlink()}
    if rows != there:
        wrong.append(f"rows and directories differ: {sorted(rows ^ there)}")
    return wrong


def state(home):
    """What must not depend on faults: versions with their weights, verdicts and standing, and the moves of production."""
    folder = home.folder / "models" / LINE
    versions = home.sql(
        "SELECT version, status, parent_version, seen_until, created_at, gate->>'passed' AS passed FROM model_versions ORDER BY version"
    )
    for row in versions:
        row["weights"] = hashlib.sha256((folder / row["version"] / "model.safetensors").read_bytes()).hexdigest()
    moves = home.sql("SELECT action, from_version, to_version, as_of FROM model_promotions ORDER BY fence")
    periods = home.sql(
        "SELECT DISTINCT period_key, status FROM model_training_log WHERE status IN ('completed', 'skipped') ORDER BY 1, 2"
    )
    return {"versions": versions, "moves": moves, "periods": periods}


def differences(a, b):
    found = []
    for key in a:
        ours = [json.dumps(row, sort_keys=True) for row in a[key]]
        theirs = [json.dumps(row, sort_keys=True) for row in b[key]]
        found += [f"{key}, only without faults: {row}" for row in ours if row not in theirs]
        found += [f"{key}, only with faults: {row}" for row in theirs if row not in ours]
    return found


def sunday_the_first(aifx, order):
    """All three jobs in one minute; each starts while the one before it has the line."""
    folder = tempfile.mkdtemp(prefix="aifx-sunday-")
    home = None
    try:
        home = prepare(folder, aifx, 22)
        at = datetime.datetime(2026, 2, 1, 1, 0, tzinfo=UTC)
        processes = []
        for job in order:
            processes.append((job, home.start(COMMANDS[job], "--wait", 120, at=at)))
            time.sleep(0.15)
        wrong = []
        for job, process in processes:
            out, err = process.communicate()
            if process.returncode != 0:
                wrong.append(f"{job} ended {process.returncode}: {err.strip()}")
            # On a Sunday the daily job has no trading hours to learn from, and says so.
            elif json.loads(out)["status"] == "skipped" and job != "daily":
                wrong.append(f"{job} was skipped: {json.loads(out)['reason']}")
        return wrong + broken(home)
    finally:
        if home:
            home.run("db", "stop", allowed=range(256))
        shutil.rmtree(folder, ignore_errors=True)


def main():
    options = arguments()
    began = time.monotonic()
    homes, states, accounts, wrong = [], [], [], []
    try:
        for name in ("without faults", "with faults"):
            say(f"{options.nights} nights {name}")
            home = prepare(tempfile.mkdtemp(prefix="aifx-soak-"), options.aifx, options.nights)
            homes.append(home)
            faults = Faults(home, options.seed)
            calm = lambda job, at, home=home: home.run(COMMANDS[job], at=at)[1]
            account = nights(home, options.nights, faults.run if name == "with faults" else calm)
            accounts.append(account)
            wrong += [f"{name}: {what}" for what in broken(home)]
            states.append(state(home))
        wrong += differences(*states)
        logged = {row["period_key"] for row in states[1]["periods"]}
        expected = sum(what != "missed" for what in accounts[1].values())
        # The first weekly, before the nights, has a period of its own.
        if len(logged) - 1 != expected:
            wrong.append(f"{expected} runs were due and {len(logged) - 1} periods are on the record")
        orders = list(itertools.permutations(COMMANDS))[: options.orders]
        for order in orders:
            found = sunday_the_first(options.aifx, order)
            say(f"Sunday the 1st, {', '.join(order)}: {'fine' if not found else found}")
            wrong += [f"Sunday the 1st, {', '.join(order)}: {what}" for what in found]
    finally:
        for home in homes:
            home.run("db", "stop", allowed=range(256))
            shutil.rmtree(home.folder, ignore_errors=True)
    for what in wrong:
        say(f"WRONG: {what}")
    tally = {}
    for what in accounts[0].values():
        tally[what] = tally.get(what, 0) + 1
    print(json.dumps({
        "nights": options.nights, "deviates": homes[0].deviates, "runs": tally, "faults": faults.counts, "orders": len(orders),
        "versions": len(states[0]["versions"]), "promotions": len(states[0]["moves"]),
        "broken": len(wrong), "same_state": not differences(*states), "seconds": round(time.monotonic() - began, 1),
    }))  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
