"""`aifx report` over 30 days of hourly answers of five pairs, a year of hourly looks and of collects every 15 minutes, and a year of
nights, all made by SQL. No peer does this: the limit is that of the issue."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from common import AIFX, emit, note, peak_mib

AS_OF = "2025-10-16T12:00:00Z"
FILL = """
INSERT INTO model_versions (line, version, status, created_at, seen_until, run_id, metrics)
SELECT 'fx-direction', 'v1.' || n, CASE WHEN n = 51 THEN 'production' ELSE 'archived' END, at, at, gen_random_uuid(), '{}'
  FROM (SELECT n, '2024-10-20T01:00Z'::timestamptz + n * interval '7 days' AS at FROM generate_series(0, 51) n) v;
INSERT INTO model_training_log (run_id, line, job, status, as_of)
SELECT gen_random_uuid(), 'fx-direction', 'daily', 'completed', at
  FROM generate_series('2024-10-20T01:00Z'::timestamptz, '2025-10-16T01:00Z', '1 day') at;
INSERT INTO model_promotions (line, action, from_version, to_version, actor, fence, run_id, as_of)
SELECT 'fx-direction', 'promote', 'v1.' || n - 1, 'v1.' || n, 'bench', n, gen_random_uuid(), '2024-10-20T02:00Z'::timestamptz + n * interval '7 days'
  FROM generate_series(1, 51) n;
INSERT INTO trading_signals (line, model_version, pair, timeframe, signal, candle_timestamp, answered_as_of, entry_price, position_size, outcome,
       closed_at, settled_as_of, pnl_net)
SELECT 'fx-direction', 'v1.51', pair, '1h', (ARRAY['buy', 'sell', 'hold'])[1 + k % 3], at, at + interval '62 min', 1.1, 0.05, 'win',
       at + interval '4 hours', at + interval '4 hours', 0.0001
  FROM generate_series('2025-09-16T12:00Z'::timestamptz, '2025-10-16T07:00Z', '1 hour') WITH ORDINALITY AS hour (at, k),
       unnest(ARRAY['EUR/USD', 'GBP/USD', 'USD/JPY', 'AUD/USD', 'USD/CAD']) pair;
INSERT INTO monitoring_runs (line, version, as_of, verdict, domain, probation, triggers, metrics, drift)
SELECT 'fx-direction', 'v1.51', at, 'none', '{"auc": 0.8, "usual": 0.75, "p": 0.3, "n_blocks": 24, "n_rows": 360}',
       '[{"version": "v1.51", "replaced": "v1.50", "since": "2025-10-12T02:00:00Z", "verdict": {"n_days": 3, "saved": 0.01, "p": 1.0}}]',
       jsonb_build_array(jsonb_build_object('job', 'train-daily', 'reason', 'new-samples: 512',
                         'held', CASE WHEN extract(hour FROM at) = 3 THEN NULL ELSE 'cool-down' END)),
       '[{"window": "30 d", "figures": {"n": 2400, "accuracy": 0.46, "log_loss": 1.02, "ece": 0.03, "ece_null": {"p95": 0.04},
          "reliability": [{"n": 1200, "confidence": 0.4, "accuracy": 0.4}, {"n": 1200, "confidence": 0.6, "accuracy": 0.6}]}}]',
       (SELECT jsonb_build_object('features', jsonb_agg('feature_' || f ORDER BY f), 'verdict', jsonb_build_object('z', 0.1, 'p', 0.5,
               'features', jsonb_agg(jsonb_build_object('distance', 0.1, 'z', f / 7.0, 'p', 0.5) ORDER BY f))) FROM generate_series(0, 37) f)
  FROM generate_series('2024-10-16T12:20Z'::timestamptz, '2025-10-16T11:20Z', '1 hour') at;
INSERT INTO monitoring_runs (as_of, verdict, metrics)
SELECT at, 'data:fresh', jsonb_build_object('pair', pair, 'timeframe', '1h')
  FROM generate_series('2024-10-16T12:00Z'::timestamptz, '2025-10-16T12:00Z', '15 min') at,
       unnest(ARRAY['EUR/USD', 'GBP/USD', 'USD/JPY', 'AUD/USD', 'USD/CAD']) pair;
ANALYZE
"""


def main():
    home = pathlib.Path(tempfile.mkdtemp(prefix="aifx-bench-"))
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}

    def command(*arguments):
        return [str(AIFX), "--home", str(home), "--quiet", "--as-of", AS_OF, *arguments]

    def document(*arguments):
        text = subprocess.run([*command(*arguments), "--json"], check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
        return json.loads(text)

    try:
        subprocess.run([str(AIFX), "--quiet", "init", str(home)], check=True, stdout=subprocess.DEVNULL, env=environment)
        import psycopg2

        address = document("db", "status")["url"]
        with psycopg2.connect(f"host={address.split('host=')[1]} user=aifx dbname=aifx") as connection, connection.cursor() as cursor:
            cursor.execute(FILL)
        page = document("report", "--days", "90")
        assert page["production"] == "v1.51", page
        runs = [peak_mib(command("report", "--days", "90"), env=environment) for _ in range(5)]
        size = f"{page['size_bytes']} bytes of page"
        emit("report", "s", [seconds for seconds, _ in runs], None, None, better="lower", threads=os.cpu_count(), goal_s=3.0, checked=size)
        emit("report_memory", "MiB", [mib for _, mib in runs], None, None, better="lower", threads=os.cpu_count(), checked=size)
    finally:
        subprocess.run([*command("db", "stop")], stdout=subprocess.DEVNULL, env=environment)
        shutil.rmtree(home, ignore_errors=True)
    note("report: each figure is a whole process; the goal also holds for a page under 1,000,000 bytes")


if __name__ == "__main__":
    sys.exit(main())
