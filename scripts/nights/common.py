"""What the replay and the soak share: a home in a folder of its own, cron's calendar, commands at an instant."""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
UTC = datetime.timezone.utc
LINE = "fx-direction"
COMMANDS = {"weekly": "train-weekly", "daily": "train-daily", "monthly": "evaluate-monthly"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def shown(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def due(day):
    """What cron starts on a day, in the order of its lines: (instant, job)."""
    midnight = datetime.datetime.combine(day, datetime.time(), UTC)
    jobs = []
    if day.day == 1:
        jobs.append((midnight, "monthly"))
    jobs.append((midnight + datetime.timedelta(hours=1), "daily"))
    if day.weekday() == 6:
        jobs.append((midnight + datetime.timedelta(hours=1), "weekly"))
    return jobs


class Home:
    def __init__(self, folder, aifx):
        self.folder = pathlib.Path(folder)
        self.aifx = pathlib.Path(aifx).resolve()
        if not os.access(self.aifx, os.X_OK):
            raise SystemExit(f"error: no binary at {self.aifx}\n  hint: cargo build --release")

    def command(self, *arguments, at=None, force=False):
        flags = ["--as-of", shown(at)] if at else []
        flags += ["--force"] if force else []
        return [str(self.aifx), "--home", str(self.folder), "--quiet", "--json", *flags, *map(str, arguments)]

    def environment(self):
        # As cron has it; a database that the caller configured is never touched.
        return {"HOME": str(self.folder), "PATH": "/usr/bin:/bin"}

    def start(self, *arguments, at=None, force=False):
        return subprocess.Popen(
            self.command(*arguments, at=at, force=force),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment(),
        )  # fmt: skip

    def run(self, *arguments, at=None, force=False, allowed=(0,)):
        """Exit status, the document on stdout, stderr, seconds."""
        began = time.monotonic()
        process = self.start(*arguments, at=at, force=force)
        out, err = process.communicate()
        if process.returncode not in allowed:
            raise SystemExit(f"error: aifx {' '.join(map(str, arguments))} ended {process.returncode}:\n{err}")
        document = json.loads(out) if out.strip() else {}
        return process.returncode, document, err, time.monotonic() - began

    def sql(self, query):
        """Rows of a query as dictionaries, through psql."""
        url = self.run("db", "status")[1]["url"]
        text = subprocess.run(
            [psql(), url, "-AtX", "-c", f"SELECT coalesce(json_agg(q), '[]') FROM ({query}) q"],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout  # fmt: skip
        return json.loads(text)


def psql():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/psql"))
    return str(found[-1]) if found else "psql"


def first_promotion(home, document, at, why):
    """Puts the first version into production, against the gate and on the record where it refuses."""
    if document.get("promoted"):
        return "promoted by the gate"
    home.run("promote", document["version"], "--force", "--reason", why, at=at)
    return "refused by the gate, promoted against it on the record"
