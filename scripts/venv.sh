#!/usr/bin/env bash
# A Python environment with pinned packages, made anew only when the list of them has changed.
# Usage: scripts/venv.sh FOLDER REQUIREMENTS   (one pip argument list a line; what cannot be had here is left out, and said)
set -euo pipefail
venv=$1 requirements=$2
cmp -s "$requirements" "$venv/installed.txt" && exit 0
rm -rf "$venv"
python3 -m venv "$venv" 2>/dev/null || {
  python3 -m pip install --quiet --break-system-packages virtualenv >&2
  python3 -m virtualenv --quiet "$venv" >&2
}
while read -r line; do
  case "$line" in "" | "#"*) continue ;; esac
  # One by one: a reference that cannot be had here costs its own lines only.
  # shellcheck disable=SC2086
  "$venv/bin/pip" install --quiet --disable-pip-version-check $line >&2 ||
    echo "not installed: $line (its lines will say so)" >&2
done <"$requirements"
cp "$requirements" "$venv/installed.txt"
