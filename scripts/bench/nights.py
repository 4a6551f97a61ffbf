"""The nightly jobs over five hourly pairs with the reference model: a weekly and a daily run, promote, rollback, status;
wall time, peak memory, and how much of a run is not LibTorch. No peer does this: the limits are those of the issue."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from common import AIFX, emit, note, peak_mib

AS_OF = "2025-10-05T01:00:00Z"
# A fortnight later, so that production has mornings to be rehearsed on.
NEXT_DAY = "2025-10-21T01:00:00Z"


def main():
    home = pathlib.Path(tempfile.mkdtemp(prefix="aifx-bench-"))
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}

    def command(*arguments, at=AS_OF):
        return [str(AIFX), "--home", str(home), "--quiet", "--as-of", at, *map(str, arguments)]

    def run(*arguments, at=AS_OF):
        """The JSON document and the seconds of a command that must end 0."""
        start = time.perf_counter()
        text = subprocess.run([*command(*arguments, at=at), "--json"], check=True, stdout=subprocess.PIPE, text=True,
                              env=environment).stdout  # fmt: skip
        return json.loads(text), time.perf_counter() - start

    def figure(bench, unit, values, **more):
        emit(bench, unit, values, None, None, None, None, "lower", os.cpu_count(), **more)

    def memory(bench, *arguments, at=AS_OF):
        _, mib = peak_mib(command(*arguments, at=at), env=environment)
        figure(f"{bench}_memory", "MiB", [mib], checked="peak of the whole process")

    try:
        run("init")
        run("simulate", "--candles", "4000", "--edge", "1", "--end", "2025-10-26T00:00:00Z", at=NEXT_DAY)
        weekly, seconds = run("train-weekly", "--no-promote")
        inside = weekly["seconds"]["training"]
        figure("night_weekly", "s", [seconds], samples=weekly["samples"], training_s=inside,
               overhead_share=(seconds - inside) / seconds, goal_overhead_share=0.15)  # fmt: skip
        memory("night_weekly", "--force", "train-weekly", "--no-promote")
        run("promote", "v1.0", "--force", "--reason", "benchmark")
        daily, seconds = run("train-daily", at=NEXT_DAY)
        parts = daily["seconds"]
        figure("night_daily", "s", [seconds], promoted=daily["promoted"], mornings=len(daily["mornings"]), rehearsal_s=parts["rehearsal"],
               training_s=parts["training"], without_rehearsal_s=seconds - parts["rehearsal"],
               overhead_share=(seconds - parts["rehearsal"] - parts["training"]) / seconds, goal_overhead_share=0.15)  # fmt: skip
        memory("night_daily", "train-daily", at="2025-10-22T01:00:00Z")
        moves = []
        for _ in range(5):
            moves.append((run("promote", "v1.1", "--force", "--reason", "benchmark")[1], run("rollback", "--reason", "benchmark")[1]))
        figure("night_promote", "s", [promote for promote, _ in moves])
        figure("night_rollback", "s", [rollback for _, rollback in moves], goal_s=1.0)
        memory("night_promote", "promote", "v1.1", "--force", "--reason", "benchmark")
        memory("night_rollback", "rollback", "--reason", "benchmark")
        figure("night_status", "s", [run("status")[1] for _ in range(5)])
        memory("night_status", "status")
        month, seconds = run("evaluate-monthly", "--no-promote", at=NEXT_DAY)
        figure("night_monthly", "s", [seconds], versions=len(month["versions"]))
    finally:
        subprocess.run([str(AIFX), "--home", str(home), "--quiet", "db", "stop"], stdout=subprocess.DEVNULL, env=environment)
        shutil.rmtree(home, ignore_errors=True)
    note("nights: overhead is all wall time outside training (and rehearsal, which is training too), process start included")


if __name__ == "__main__":
    sys.exit(main())
