#!/usr/bin/env bash
# Kills train-weekly and promote with SIGKILL at random moments, again and again, and looks after each: nothing that
# `aifx doctor --fix` cannot put right, never two production versions, no half directory. Usage:
#   scripts/kill_loop.sh [--rounds N] [--seed S] [AIFX-BINARY]      last line: JSON
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=50
RANDOM=1
aifx=target/release/aifx
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) rounds=$2; shift 2 ;;
    --seed) RANDOM=$2; shift 2 ;;
    *) aifx=$1; shift ;;
  esac
done
aifx=$(realpath "$aifx")
home=$(mktemp -d /tmp/aifx-kill.XXXXXX)
run() { env -i HOME="$home" PATH=/usr/bin:/bin "$aifx" --home "$home" --quiet "$@"; }
trap 'run db stop >/dev/null 2>&1 || true; rm -rf "$home"' EXIT

as_of=2025-10-19T00:00:00Z
cat >"$home/aifx.yaml" <<'YAML'
lines:
  fx-direction:
    pairs: [EUR/USD, GBP/USD]
    model: {kind: lstm, hidden: [8, 6], dense: 4, dropout: [0.1, 0.1, 0.1]}
    weekly: {days: 60, epochs: 4, min_samples: 300}
YAML
run init >/dev/null
run simulate --candles 1400 --end "$as_of" >/dev/null
kills=0 healed=0 broken=0
for round in $(seq 1 "$rounds"); do
  if [ $((round % 2)) = 1 ]; then
    command=(--as-of "$as_of" --force train-weekly)
  else
    newest=$(run models list --json | python3 -c 'import json,sys; m=json.load(sys.stdin)["models"]; print(m[-1]["version"] if m else "v1.0")')
    command=(--as-of "$as_of" promote "$newest" --force --reason "kill loop")
  fi
  # Not through a function: the process to be killed must be aifx itself, not a shell around it.
  env -i HOME="$home" PATH=/usr/bin:/bin "$aifx" --home "$home" --quiet "${command[@]}" >/dev/null 2>&1 &
  pid=$!
  if [ $((round % 2)) = 1 ]; then wait_ms=$((RANDOM % 1500)); else wait_ms=$((RANDOM % 300)); fi
  sleep "$(printf '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000)))"
  if kill -9 "$pid" 2>/dev/null; then kills=$((kills + 1)); fi
  wait "$pid" 2>/dev/null || true
  run doctor --fix --json >"$home/doctor.json" || true
  verdict=$(python3 - "$home" <<'PY'
import json, os, sys
home = sys.argv[1]
doctor = json.load(open(home + "/doctor.json"))
line = home + "/models/fx-direction"
names = os.listdir(line) if os.path.isdir(line) else []
half = [n for n in names if n.startswith(".incoming-")]
failed = [c for c in doctor["checks"] if c["status"] == "fail"]
print("ok" if not half and not failed else f"broken {half} {failed}")
PY
)
  [ "$verdict" = ok ] || { broken=$((broken + 1)); echo "round $round (${command[*]}, killed after $wait_ms ms): $verdict" >&2; }
  [ "$verdict" = ok ] && healed=$((healed + 1))
  run models verify >/dev/null || broken=$((broken + 1))
done
run --as-of "$as_of" --force train-weekly >/dev/null
productions=$(run models list --json | python3 -c 'import json,sys; print(sum(m["status"]=="production" for m in json.load(sys.stdin)["models"]))')
echo "{\"rounds\": $rounds, \"kills\": $kills, \"healed\": $healed, \"broken\": $broken, \"productions\": $productions}"
[ "$broken" = 0 ] && [ "$productions" -le 1 ]
