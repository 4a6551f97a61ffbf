#!/usr/bin/env bash
# How often drift rings where nothing has changed, and how soon where something has: simulated months, hour by hour, through the
# code that `aifx monitor` runs; beside it what the textbook's rules say of the same rows. The last line is JSON.
# Usage: scripts/bench_drift.sh [--months N] [--seed S] [--textbook N]   (200 months, seed 1, 4 months for the textbook)
set -euo pipefail
cd "$(dirname "$0")/.."
months=200 seed=1 textbook=4
while [ $# -gt 0 ]; do
  case "$1" in
    --months) months=$2 ;;
    --seed) seed=$2 ;;
    --textbook) textbook=$2 ;;
    *)
      echo "usage: scripts/bench_drift.sh [--months N] [--seed S] [--textbook N]" >&2
      exit 2
      ;;
  esac
  shift 2
done
scripts/setup.sh >&2
cargo build --release --locked >&2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo bench --quiet --locked --bench drift -- --months "$months" --seed "$seed" >"$folder/figures.json"
for ((month = 0; month < textbook; month++)); do
  cargo bench --quiet --locked --bench drift -- --rows "$month" --seed "$seed" >"$folder/$month.rows"
done
venv=third_party/drift-venv
# Without it the table says which references are not there; aifx's own figures need none.
scripts/venv.sh "$venv" scripts/drift-requirements.txt || venv=
"${venv:+$venv/bin/}python3" scripts/drift_table.py "$folder"
