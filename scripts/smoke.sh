#!/usr/bin/env bash
# The whole path in a temporary home, in under a minute, for a CI of your own: init, simulate, export, label,
# train-weekly (tiny), promote, verify. Usage: scripts/smoke.sh [AIFX-BINARY]. The exit status tells.
set -euo pipefail
cd "$(dirname "$0")/.."
aifx=$(realpath "${1:-target/release/aifx}")
[ -x "$aifx" ] || {
  echo "error: no binary at $aifx" >&2
  echo "  hint: cargo build --release, or give the binary as an argument" >&2
  exit 2
}
home=$(mktemp -d /tmp/aifx-smoke.XXXXXX)
# An empty environment, as cron has it; a database that the caller configured is never touched.
run() {
  echo "+ aifx $*"
  env -i HOME="$home" PATH=/usr/bin:/bin "$aifx" --home "$home" "$@"
}
finish() {
  status=$?
  run --quiet db stop >/dev/null 2>&1 || true
  rm -rf "$home"
  [ "$status" = 0 ] && echo "smoke: passed" || echo "smoke: FAILED with exit status $status" >&2
  exit "$status"
}
trap finish EXIT

as_of=2025-10-19T00:00:00Z
run init >/dev/null
run simulate --pairs EUR/USD,GBP/USD --timeframe 1h --candles 1200 --seed 7 --edge 1 --end "$as_of"
sed -i 's|^\( *pairs:\).*|\1 [EUR/USD, GBP/USD]|' "$home/aifx.yaml"
run --as-of "$as_of" export --output "$home/export"
run --as-of "$as_of" label
run --as-of "$as_of" train-weekly --days 30 --epochs 2
# Two epochs make no model that the gate would let through by itself.
run --as-of "$as_of" promote v1.0 --force --reason "smoke run"
run models verify
run --as-of "$as_of" predict
run --as-of "$as_of" monitor --explain --dry-run
run --as-of "$as_of" report
