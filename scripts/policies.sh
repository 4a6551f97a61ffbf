#!/usr/bin/env bash
# What the nights are worth: cron's jobs by --as-of over candles that were in no test, and the log-loss of every policy on the same
# settled candles, by trading day. The last line is JSON. Usage:
#   scripts/policies.sh [--candles FILE…] [--from DAY] [--days N] [--label MULTIPLE] [--seed S] [--simulate EDGE,DRIFT]
#                       [--monitor] [--set KEY=VALUE…] [--aifx BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in *" --aifx "* | *" --help "* | *" -h "*) ;; *)
  scripts/setup.sh >&2
  cargo build --release --locked >&2
  ;;
esac
exec python3 scripts/nights/policies.py "$@"
