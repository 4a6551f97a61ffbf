"""`aifx monitor` over 50 lines, each with a model of its own, 38 features and 30 days of hourly answers that are stored. No peer does
this: the limits are those of the issue."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from common import AIFX, emit, note, peak_mib

LINES = [f"line-{k:02}" for k in range(50)]
END = "2025-10-16T12:00:00Z"
TRAINED = "2025-09-14T01:00:00Z"
FILL = """
INSERT INTO trading_signals (line, model_version, pair, timeframe, signal, candle_timestamp, answered_as_of, entry_price, probabilities, outcome, settled_as_of)
SELECT 'line-' || substr(pair, 2, 2), 'v1.0', pair, timeframe, (ARRAY['sell', 'hold', 'buy'])[1 + k % 3], timestamp, timestamp + interval '1 hour', close,
       jsonb_build_object('sell', CASE k % 3 WHEN 0 THEN 0.5 ELSE 0.25 END, 'hold', CASE k % 3 WHEN 1 THEN 0.5 ELSE 0.25 END,
                          'buy', CASE k % 3 WHEN 2 THEN 0.5 ELSE 0.25 END), 'win', timestamp + interval '5 hours'
  FROM (SELECT *, row_number() OVER (ORDER BY pair, timestamp) AS k FROM market_data WHERE timestamp >= '2025-09-15') m;
ANALYZE
"""


def main():
    home = pathlib.Path(tempfile.mkdtemp(prefix="aifx-bench-"))
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}

    def command(*arguments, at=END):
        return [str(AIFX), "--home", str(home), "--quiet", "--as-of", at, *arguments]

    def document(*arguments, at=END):
        text = subprocess.run([*command(*arguments, at=at), "--json"], check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
        return json.loads(text)

    try:
        lines = "".join(
            f"  {line}:\n    pairs: [P{k:02}/USD]\n    triggers: {{action: ask}}\n    weekly: {{days: 60, epochs: 1, min_samples: 300}}\n"
            for k, line in enumerate(LINES)
        )
        (home / "aifx.yaml").write_text(f"lines:\n{lines}")
        document("init")
        pairs = ",".join(f"P{k:02}/USD" for k in range(len(LINES)))
        document("simulate", "--line", LINES[0], "--pairs", pairs, "--candles", "2400", "--end", END)
        for line in LINES:
            document("train-weekly", "--line", line, "--no-promote", at=TRAINED)
            document("promote", "v1.0", "--line", line, "--force", "--reason", "benchmark", at=TRAINED)
        import psycopg2

        address = document("db", "status")["url"]
        with psycopg2.connect(f"host={address.split('host=')[1]} user=aifx dbname=aifx") as connection, connection.cursor() as cursor:
            cursor.execute(FILL)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            seen = document("monitor", "--dry-run")
            seconds.append(time.perf_counter() - start)
        assert len(seen["lines"]) == len(LINES), seen
        stored = sum(line["n_stored"] for line in seen["lines"])
        assert stored > 20_000 and all(line["drift"] for line in seen["lines"]), stored
        emit("monitor_50_lines", "s", seconds, None, None, None, None, "lower", os.cpu_count(), goal_s=2.0, checked=f"{stored} stored answers, 50 verdicts on drift")
        _, mib = peak_mib(command("monitor", "--dry-run"), env=environment)
        emit("monitor_50_lines_memory", "MiB", [mib], None, None, None, None, "lower", os.cpu_count(), goal_mib=300)
    finally:
        subprocess.run([str(AIFX), "--home", str(home), "--quiet", "db", "stop"], stdout=subprocess.DEVNULL, env=environment)
        shutil.rmtree(home, ignore_errors=True)
    note("monitor: a whole process over all lines, LibTorch's start included")


if __name__ == "__main__":
    sys.exit(main())
