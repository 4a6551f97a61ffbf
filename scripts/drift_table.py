#!/usr/bin/env python3
"""The table of scripts/bench_drift.sh: what drift did, what the textbook's rules say of the same rows, and which musts hold.

    drift_table.py FOLDER     figures.json of `cargo bench --bench drift`, and quiet months as NUMBER.rows

The textbook: a Kolmogorov-Smirnov test a feature (scipy) with Benjamini-Hochberg at 5 %, and a stability index above 0.1, on the
same windows of three days, every six hours; evidently's DataDriftPreset with its defaults on a few of them, since one look takes
it seconds. river: the golden streams computed anew and held against the file that aifx's tests read. The last line is JSON.
"""

import json
import os
import pathlib
import sys

MUSTS = {"alarms_a_month": 1.0, "ringing": 0.01, "share": 0.95, "median_delay_days": 15}
DAYS, HOURS, EVERY = 3, 24, 6
EVIDENTLY_LOOKS = 3
ROOT = pathlib.Path(__file__).resolve().parent.parent


def world(value):
    (kind, size), = value.items()
    if kind == "candles":
        return f"candles, {size} pairs"
    return f"{size[0]} indicators, {size[1]} pair{'s' if size[1] > 1 else ''}"


def change(value):
    if isinstance(value, str):
        return "a feature frozen" if value == "frozen" else value
    (kind, size), = value.items()
    if kind == "volatility":
        return f"volatility × {size:g}"
    if kind == "shift":
        return f"{size[0]} feature{'s' if size[0] > 1 else ''} + {size[1]:g} SD"
    return f"spread + 2 × {size * 100:g} % of the range"


def months(folder):
    """Columns, rows of reference and series of each quiet month."""
    import numpy

    for path in sorted(folder.glob("*.rows")):
        words = numpy.fromfile(path, dtype="<u4")
        at = 0
        for name in ("indicators", "candles"):
            n_features, n_rows, n_reference, n_series = (int(word) for word in words[at : at + 4])
            at += 4
            block = words[at : at + n_features * n_rows].view("<f4").reshape(n_features, n_rows).astype(float)
            at += n_features * n_rows
            yield name, block, n_reference, n_series


def textbook(folder):
    """Share of looks at quiet months at which the textbook's rules fire, by world."""
    try:
        import numpy
        from scipy import stats
    except ImportError:
        return "scipy is not installed here"
    counts = {}
    for name, block, n_reference, n_series in months(folder):
        reference, length = block[:, :n_reference], DAYS * HOURS * n_series
        edges = [numpy.unique(numpy.quantile(column, numpy.arange(1, 10) / 10)) for column in reference]
        usual = [numpy.bincount(numpy.searchsorted(e, c), minlength=len(e) + 1) / len(c) for e, c in zip(edges, reference)]
        tally = counts.setdefault(name, [0, 0, 0])
        for end in range(n_reference + length, block.shape[1] + 1, EVERY * n_series):
            window = block[:, end - length : end]
            p = [stats.ks_2samp(w, r, method="asymp").pvalue for w, r in zip(window, reference)]
            index = 0.0
            for e, share, values in zip(edges, usual, window):
                found = (numpy.bincount(numpy.searchsorted(e, values), minlength=len(e) + 1) + 0.5) / (length + (len(e) + 1) / 2)
                share = numpy.maximum(share, 1e-6)
                index = max(index, float(((found - share) * numpy.log(found / share)).sum()))
            tally[0] += 1
            tally[1] += bool((stats.false_discovery_control(p) <= 0.05).any())
            tally[2] += index > 0.1
    return {name: {"looks": n, "ks_bh": ks / n, "psi": psi / n} for name, (n, ks, psi) in counts.items()}


def evidently(folder):
    """How often evidently's preset speaks of drift at quiet months, by world: of the whole, and of a column at least."""
    # It would count its users.
    os.environ["DO_NOT_TRACK"] = "1"
    try:
        import numpy
        import pandas
        from evidently import Report
        from evidently.presets import DataDriftPreset
    except ImportError:
        return "evidently is not installed here"
    counts = {}
    for name, block, n_reference, n_series in months(folder):
        length = DAYS * HOURS * n_series
        columns = [f"feature {place}" for place in range(len(block))]
        frame = lambda rows: pandas.DataFrame(rows.T, columns=columns)
        reference = frame(block[:, :n_reference])
        tally = counts.setdefault(name, [0, 0, 0])
        for end in numpy.linspace(n_reference + length, block.shape[1], EVIDENTLY_LOOKS).astype(int):
            said = Report([DataDriftPreset()]).run(frame(block[:, end - length : end]), reference).dict()
            drifted = next(one["value"] for one in said["metrics"] if one["metric_name"].startswith("DriftedColumnsCount"))
            tally[0] += 1
            tally[1] += drifted["share"] >= 0.5
            tally[2] += drifted["count"] > 0
    return {name: {"looks": n, "whole": whole / n, "a_column": column / n} for name, (n, whole, column) in counts.items()}


def river():
    """Whether river says today what the golden file says that aifx's tests hold it to."""
    golden = ROOT / "tests/golden/streams_river.json"
    sys.path.insert(0, str(golden.parent))
    try:
        from streams_river import cases
    except ImportError:
        return None
    # As the file has it: what a float prints as is what it is.
    now = json.loads(json.dumps(list(cases())))
    return {"streams": len(now), "equal": now == json.loads(golden.read_text())}


def main():
    folder = pathlib.Path(sys.argv[1])
    figures = json.loads((folder / "figures.json").read_text())
    rows, holds = [], {}
    for quiet in figures["quiet"]:
        name = world(quiet["world"])
        ok = quiet["alarms_a_month"] <= MUSTS["alarms_a_month"] and quiet["ringing"] <= MUSTS["ringing"]
        holds[f"quiet: {name}"] = ok
        print(
            f"quiet      {name:<24} {quiet['months']:>4} months  {quiet['ringing'] * 100:6.2f} % of looks ring  "
            f"{quiet['alarms_a_month']:5.2f} alarms a month  {quiet['months_with_more']:>3} months with more than one  {'ok' if ok else 'NO'}"
        )
    for found in figures["found"]:
        name = f"{change(found['change'])}, {world(found['world'])}"
        ok = found["share"] >= MUSTS["share"]
        if found["must"]:
            holds[f"found: {name}"] = ok
        verdict = ("ok" if ok else "NO") if found["must"] else "(power)"
        delay = found["median_delay_hours"]
        print(
            f"{name:<58} {found['n']:>4} times  {found['share'] * 100:6.1f} % in three days ({found['low'] * 100:.0f} to "
            f"{found['high'] * 100:.0f})  median {'-' if delay is None else delay:>3} h  {verdict}"
        )
    concept = figures["concept"]
    delay = concept["median_delay_days"]
    ok = delay is not None and delay <= MUSTS["median_delay_days"]
    holds["found: labels flipped"] = ok
    print(
        f"labels flipped, right in {concept['accuracy'] * 100:.0f} of 100: {concept['share'] * 100:.1f} % in thirty days, median {delay} "
        f"days  {'ok' if ok else 'NO'}; quiet: {concept['false_alarm_days']:.0f} days to a false alarm (those that never rang count 500), "
        f"{concept['false_alarms_a_month'] * 100:.1f} % of months"
    )
    beside = textbook(folder)
    if isinstance(beside, str):
        print(f"textbook: {beside}")
    else:
        for name, one in beside.items():
            print(
                f"textbook   {name:<24} of {one['looks']} looks at the same quiet months: KS with Benjamini-Hochberg fires at "
                f"{one['ks_bh'] * 100:.1f} %, PSI above 0.1 at {one['psi'] * 100:.1f} %"
            )
    preset = evidently(folder)
    if isinstance(preset, str):
        print(preset)
    else:
        for name, one in preset.items():
            print(
                f"evidently  {name:<24} of {one['looks']} looks at the same quiet months: half of the columns drift at "
                f"{one['whole'] * 100:.0f} %, a column at {one['a_column'] * 100:.0f} %"
            )
    streams = river()
    if streams is None:
        print("river is not installed here; its values of thirty streams are in tests/golden/streams_river.json, and aifx's tests hold them")
    else:
        holds["river's streams are the golden ones"] = streams["equal"]
        print(
            f"river      ADWIN and Page-Hinkley of {streams['streams']} streams computed anew: "
            f"{'equal to' if streams['equal'] else 'NOT'} the golden values that aifx's tests hold"
        )
    must = [found for found in figures["found"] if found["must"]]
    delays = [found["median_delay_hours"] for found in must if found["median_delay_hours"] is not None]
    print(json.dumps({
        "bench": "drift",
        "months": figures["quiet"][0]["months"],
        "false_alarm_rate": max(quiet["ringing"] for quiet in figures["quiet"]),
        "alarms_a_month": max(quiet["alarms_a_month"] for quiet in figures["quiet"]),
        "detection_rate": min(found["share"] for found in must),
        "median_delay_hours": max(delays, default=None),
        "flipped_median_delay_days": delay,
        "details": figures,
        "textbook": beside,
        "evidently": preset,
        "river": streams,
        "holds": holds,
    }))
    return 0


if __name__ == "__main__":
    sys.exit(main())
