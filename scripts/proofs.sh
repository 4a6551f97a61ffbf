#!/usr/bin/env bash
# What aifx promises, proved at full size: hours on two cores. `.ci/run` holds a small seeded form of each. A case that has a result
# for this commit is not run again; stopped, it goes on where it was. stdout has one JSON line a case. Usage:
#   scripts/proofs.sh [NAME…]     all of them, or those whose name begins with NAME
#   scripts/proofs.sh --list
set -euo pipefail
cd "$(dirname "$0")/.."

fx=../shared/data/fx
# Its name, then how it is run. Half years of real candles; five pairs where nothing else is said, EUR/USD alone for `eur-`.
cases=(
  "gate scripts/bench_gate.sh --markets 2000 --trained 20"
)
for half in 2017H2:2017-07-02 2018H2:2018-07-01; do
  from="--from ${half#*:} --days 182"
  for pairs in five: "eur: --candles $fx/EURUSD_1h.csv"; do
    name=${pairs%%:*}-${half%%:*}
    run="scripts/policies.sh $from${pairs#*:}"
    cases+=(
      "$name-shipped $run"
      "$name-alone $run --set ensemble.members=1 weekly.days=90"
      "$name-held $run --label 1.0 --monitor"
    )
  done
done
for seed in 1 2 3; do
  cases+=("simulated-$seed scripts/policies.sh --simulate 1,0.05 --seed $seed --days 182")
done

if [ "${1:-}" = --list ]; then
  printf '%s\n' "${cases[@]}"
  exit
fi
chosen=()
for name in "${@:-}"; do
  found=0
  for case in "${cases[@]}"; do
    [[ $case == "$name"* ]] && chosen+=("$case") && found=1
  done
  [ $found = 1 ] || { echo "error: no proof begins with $name" >&2; echo "  hint: scripts/proofs.sh --list" >&2; exit 2; }
done

results=target/proofs/$(git describe --always --dirty --abbrev=12)
mkdir -p "$results"
failed=0
for case in "${chosen[@]}"; do
  name=${case%% *} result="$results/${case%% *}.json"
  if [ ! -s "$result" ]; then
    echo "$name: ${case#* }" >&2
    read -ra command <<<"${case#* }"
    if "${command[@]}" >"$result.part" 2>"$results/$name.log"; then
      tail -n 1 "$result.part" >"$result.done" && mv "$result.done" "$result"
    else
      echo "$name failed: $results/$name.log" >&2
      failed=1
      continue
    fi
    rm -f "$result.part"
  fi
  printf '{"proof":"%s","result":%s}\n' "$name" "$(cat "$result")"
done
exit $failed
