#!/usr/bin/env bash
# A year of days on real candles, then the page that an operator reads. The last line is JSON. Usage:
#   scripts/year.sh [--candles FILE…] [--from DAY] [--days N] [--epochs N] [--page FILE] [--aifx BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in *" --aifx "* | *" --help "* | *" -h "*) ;; *)
  scripts/setup.sh >&2
  cargo build --release --locked >&2
  ;;
esac
exec python3 scripts/nights/year.py "$@"
