#!/usr/bin/env bash
# Weeks of days on real candles, as cron would run them: a local quote server gives each candle once it is closed, and
# collect, predict, outcomes, monitor, train-daily and train-weekly run by --as-of. The last line is JSON. Usage:
#   scripts/live.sh [--candles FILE…] [--from DAY] [--days N] [--aifx BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in *" --aifx "* | *" --help "* | *" -h "*) ;; *)
  scripts/setup.sh >&2
  cargo build --release --locked >&2
  ;;
esac
exec python3 scripts/nights/live.py "$@"
