#!/usr/bin/env bash
# Weeks of nights on real candles, as cron would have run them: weekly, daily and monthly by --as-of, ending in a monthly
# report. The last line is JSON. Usage:
#   scripts/replay.sh [--from DAY] [--weeks N] [--home NEW-FOLDER] [--aifx BINARY] [FILE…]
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in *" --aifx "* | *" --help "* | *" -h "*) ;; *)
  scripts/setup.sh >&2
  cargo build --release --locked >&2
  ;;
esac
exec python3 scripts/nights/replay.py "$@"
