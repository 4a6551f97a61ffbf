#!/usr/bin/env bash
# How often the gate is wrong: simulated years of decisions, and markets that go through real training. The last line is
# JSON. Usage: scripts/bench_gate.sh [--markets N] [--seed S] [--trained N]   (200 years, 20 trained markets, seed 1)
set -euo pipefail
cd "$(dirname "$0")/.."
markets=200 seed=1 trained=20
while [ $# -gt 0 ]; do
  case "$1" in
    --markets) markets=$2 ;;
    --seed) seed=$2 ;;
    --trained) trained=$2 ;;
    *)
      echo "usage: scripts/bench_gate.sh [--markets N] [--seed S] [--trained N]" >&2
      exit 2
      ;;
  esac
  shift 2
done
scripts/setup.sh >&2
cargo build --release --locked >&2
simulated=$(cargo bench --quiet --locked --bench gate -- --markets "$markets" --seed "$seed")
echo "$simulated" >&2
real=null
[ "$trained" = 0 ] || real=$(python3 scripts/nights/gate_markets.py --markets "$trained" --seed "$seed")
python3 - "$simulated" "$real" <<'PYTHON'
import json
import sys

simulated, real = (json.loads(text) for text in sys.argv[1:])
musts = {
    "wrong_changes": ("<=", 0.05),
    "years_with_a_wrong_change": ("<=", 0.10),
    "worse_refreshes": ("<=", 0.05),
    "right_refreshes": (">=", 0.80),
    "right_changes": (">=", 0.80),
}
holds = {
    name: simulated[name]["share"] <= bound if side == "<=" else simulated[name]["share"] >= bound
    for name, (side, bound) in musts.items()
}
holds["level"] = 0.04 <= simulated["level"]["share"] <= 0.08
print(json.dumps({
    "bench": "gate_honesty",
    "wrong_promotions": {name: simulated[name] for name in ("wrong_changes", "years_with_a_wrong_change", "worse_refreshes")},
    "right_promotions": {name: simulated[name] for name in ("right_refreshes", "right_changes")},
    "level": simulated["level"],
    "markets": simulated["markets"],
    "trained": real,
    "holds": holds,
}))
PYTHON
