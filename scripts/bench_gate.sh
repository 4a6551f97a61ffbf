#!/usr/bin/env bash
# How often the gate is wrong: simulated years of decisions, and markets that go through real training. The last line is
# JSON. Usage: scripts/bench_gate.sh [--markets N] [--seed S] [--trained N]   (2,000 years, 20 trained markets, seed 1)
set -euo pipefail
cd "$(dirname "$0")/.."
markets=2000 seed=1 trained=20
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
    "wrong_changes": ("<=", 0.003),
    "years_with_a_wrong_change": ("<=", 0.05),
    "worse_refreshes": ("<=", 0.05),
    "no_skill_refreshes": ("<=", 0.05),
    "right_refreshes": (">=", 0.98),
    "right_changes": (">=", 0.98),
}
holds = {
    name: simulated[name]["share"] <= bound if side == "<=" else simulated[name]["share"] >= bound
    for name, (side, bound) in musts.items()
}
holds["years_with_a_wrong_change_high"] = simulated["years_with_a_wrong_change"]["high"] <= 0.06
holds["level"] = 0.04 <= simulated["level"]["share"] <= 0.08
mixtures = simulated["ensemble"]
holds["ensemble_saves_with_an_edge"] = all(
    mixtures["with_an_edge"][name]["mean"] > 0 for name in ("saves_prior", "saves_newest", "saves_first")
)
holds["ensemble_promise"] = max(kind["beyond_nightly"] for kind in mixtures.values()) <= 0
print(json.dumps({
    "bench": "gate_honesty",
    "wrong_promotions": {name: simulated[name] for name in ("wrong_changes", "years_with_a_wrong_change", "worse_refreshes")},
    "no_skill_refreshes": simulated["no_skill_refreshes"],
    "ensemble": mixtures,
    "right_promotions": {name: simulated[name] for name in ("right_refreshes", "right_changes")},
    "level": simulated["level"],
    "markets": simulated["markets"],
    "trained": real,
    "holds": holds,
}))
PYTHON
