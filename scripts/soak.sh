#!/usr/bin/env bash
# A simulated quarter of nights with random SIGKILLs, database restarts, double starts and missed days beside the same
# quarter without faults; and Sunday the 1st with all three jobs in the same minute in every order. The last line is JSON;
# the exit status tells. Usage: scripts/soak.sh [--nights N] [--seed S] [--orders K] [--aifx BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in *" --aifx "* | *" --help "* | *" -h "*) ;; *)
  scripts/setup.sh >&2
  cargo build --release --locked >&2
  ;;
esac
exec python3 scripts/nights/soak.py "$@"
