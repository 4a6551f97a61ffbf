"""Start-up of the commands that touch no model, beside what a Python stack pays for its imports alone."""

import subprocess
import sys
import time

from common import AIFX, alternate, emit, note, peak_mib, unavailable

IMPORTS = "import pandas, sqlalchemy, psycopg2"


def first_byte_ms(command):
    """Milliseconds until the command's first byte on stdout; it must end 0."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.read(1)
    elapsed = (time.perf_counter() - start) * 1e3
    process.stdout.read()
    if process.wait() != 0:
        raise SystemExit(f"error: {command} failed")
    return elapsed


def median_of(command, runs=7):
    return sorted(first_byte_ms(command) for _ in range(runs))[runs // 2]


def main():
    ours = [str(AIFX), "--version"]
    theirs = [sys.executable, "-c", IMPORTS + "; print(1)"]
    try:
        first_byte_ms(theirs)
    except SystemExit as error:
        unavailable("startup", IMPORTS, error)
        return
    first_byte_ms(ours)
    checked = "both end 0 and print"
    left, right = alternate(lambda: median_of(ours), lambda: median_of(theirs), pairs=5)
    emit("startup_first_byte", "ms", left, right, f"python: {IMPORTS}", None, None, "lower", 1, checked,
         goal_ms=25, stretch_ms=10)
    left, right = alternate(lambda: peak_mib(ours)[1], lambda: peak_mib(theirs)[1])
    emit("startup_memory", "MiB", left, right, f"python: {IMPORTS}", None, None, "lower", 1, checked, goal_mib=30)
    note("startup: a command that touches no model; LibTorch is loaded by those that do")


main()
