#!/usr/bin/env bash
# Measures aifx beside what users have today, in one run on one machine: one JSON line a figure, with its reference,
# the ratio, and the goal. Usage: scripts/bench.sh [SECTION…]; sections are the files of scripts/bench/.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh >&2
cargo build --release --locked >&2
cargo bench --locked --no-run >&2

# The references, with their versions pinned: raise them on purpose, never by chance.
venv=third_party/bench-venv
scripts/venv.sh "$venv" scripts/bench/requirements.txt

sections=("$@")
if [ ${#sections[@]} = 0 ]; then
  for file in scripts/bench/*.py; do
    name=$(basename "$file" .py)
    [ "$name" = common ] || sections+=("$name")
  done
fi
status=0
for section in "${sections[@]}"; do
  [ -f "scripts/bench/$section.py" ] || {
    echo "error: no benchmark section called $section" >&2
    exit 2
  }
  "$venv/bin/python" "scripts/bench/$section.py" || status=1
done
exit $status
