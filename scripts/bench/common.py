"""What the benchmark drivers share: alternated runs of aifx and a reference, and one JSON line a figure.

A ratio counts only when both sides gave the same answer in this run; the caller checks that first and says how in
`checked`. Ratios are medians of the ratios of alternated pairs, so that a drift of the machine hits both sides.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
AIFX = TARGET / "release" / "aifx"


def bench_binary(name):
    """The executable of `benches/NAME.rs`, built by `cargo bench --no-run` (scripts/bench.sh does)."""
    found = [
        path
        for path in (TARGET / "release" / "deps").glob(f"{name}-*")
        if path.suffix == "" and os.access(path, os.X_OK)
    ]
    if not found:
        raise SystemExit(f"error: benches/{name}.rs is not built\n  hint: cargo bench --no-run")
    return max(found, key=lambda path: path.stat().st_mtime)


def keep_freed_memory():
    """Starts this driver again with glibc's allocator told, for it and for all that it runs, not to give freed memory
    back. Both sides then work on memory that was touched before: first touches of fresh pages cost from 0.25 to 8 µs
    each, by the machine, and would be measured in place of the work."""
    settings = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_TOP_PAD_": str(64 << 20)}
    if any(os.environ.get(name) != value for name, value in settings.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | settings)


def timed(call):
    """Seconds that `call()` takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def run(command, **options):
    """Runs a command, which must end 0, and returns its stdout."""
    return subprocess.run(
        [str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True, **options
    ).stdout


# A process inherits the peak of the one that it was forked from, so a large driver would be measured instead of a small
# command: a fresh interpreter starts it and reports.
_PEAK = """
import resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - start
print(status, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_mib(command, **options):
    """Seconds and peak resident MiB of a command as a whole process; it must end 0."""
    starter = [sys.executable, "-S", "-c", _PEAK, *[str(part) for part in command]]
    status, seconds, kib = run(starter, **options).split()
    if status != "0":
        raise SystemExit(f"error: {command} ended with status {status}")
    return float(seconds), float(kib) / 1024


def alternate(ours, theirs, pairs=3):
    """Calls both in turn `pairs` times; each returns its figure. Returns the two lists."""
    left, right = [], []
    for _ in range(pairs):
        left.append(ours())
        right.append(theirs())
    return left, right


def emit(
    bench,
    unit,
    ours,
    reference,
    reference_name,
    must=None,
    stretch=None,
    better="higher",
    threads=None,
    checked=None,
    **more,
):
    """Prints one JSON line. `ours` and `reference` are lists of figures of alternated runs; `ratio` is ours over the
    reference, the median over the pairs; `holds` says whether the must is met (for `better="lower"`: ratio <= must)."""
    ratios = [a / b for a, b in zip(ours, reference)] if reference else []
    ratio = statistics.median(ratios) if ratios else None
    if must is None or ratio is None:
        holds = None
    else:
        holds = ratio >= must if better == "higher" else ratio <= must
    line = {
        "bench": bench,
        "unit": unit,
        "aifx": statistics.median(ours),
        "reference": statistics.median(reference) if reference else None,
        "reference_name": reference_name,
        "ratio": ratio,
        "must": must,
        "stretch": stretch,
        "better": better,
        "holds": holds,
        "threads": threads,
        "checked": checked,
        "load1": os.getloadavg()[0],
        "runs": {"aifx": ours, "reference": reference},
    }
    line.update(more)
    print(json.dumps(line), flush=True)
    return line


def unavailable(bench, reference_name, why):
    """Says in a line of its own that a reference cannot be had here."""
    print(json.dumps({"bench": bench, "reference_name": reference_name, "unavailable": str(why)}), flush=True)


def note(message):
    print(message, file=sys.stderr, flush=True)
