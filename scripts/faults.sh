#!/usr/bin/env bash
# SIGKILL, ENOSPC and EIO at every file, network and rename call of publish, promote and rollback, by strace: the whole of
# what tests/it/faults.rs takes a sample of. Prints the points that were hit and ends 0 where every invariant held and the
# next command healed within two seconds. Takes about a quarter of an hour.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh >&2
command -v strace >/dev/null || {
  echo "error: strace is not installed" >&2
  echo "  hint: apt-get install strace" >&2
  exit 3
}
cargo test --locked --no-run --test it >&2
AIFX_FAULTS=all cargo test --locked --test it -- --nocapture faults:: 2>&1 | tee /dev/stderr | awk '
  / points of / { n += $1; lines++ }
  END { printf "{\"bench\": \"faults\", \"points\": %d, \"loops\": %d}\n", n, lines }'
