#!/usr/bin/env bash
# The main job from a bare machine: sets up, builds, fills a private PostgreSQL, exports, labels, trains, promotes, and
# names the report to open. Usage:
#
#   scripts/demo.sh                              on a simulated market with a known edge
#   scripts/demo.sh [--as-of INSTANT] FILE…      on your own candles, up to INSTANT (default: their last close)
#
# Run again, it changes nothing that stands. The home is this folder; candles that do not fit a home that is already
# here get one of their own under data/own-candles.
set -euo pipefail
started_in=$PWD
cd "$(dirname "$0")/.."

as_of=
files=()
while [ $# -gt 0 ]; do
  case "$1" in
    --as-of) as_of=${2:?--as-of wants an instant such as 2018-12-01T00:00:00Z}; shift 2 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "error: unknown flag $1" >&2; exit 2 ;;
    *) files+=("$(cd "$started_in" && realpath -- "$1")"); shift ;;
  esac
done
for file in "${files[@]}"; do
  [ -r "$file" ] || { echo "error: cannot read $file" >&2; exit 4; }
done

scripts/setup.sh
cargo build --release --locked
aifx=$PWD/target/release/aifx
began=$SECONDS

# A value of a JSON document on stdin: json 'd["files"][0]["pair"]'
json() { python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
step() { echo; echo "── $*"; }

home=$PWD
if [ ${#files[@]} -gt 0 ]; then
  # What the files hold decides the line's pairs and timeframe, so they are looked at before anything is written.
  look=$(mktemp -d /tmp/aifx-look.XXXXXX)
  trap 'rm -rf "$look"' EXIT
  "$aifx" --home "$look" --quiet init --no-database >/dev/null
  seen=$("$aifx" --home "$look" import --inspect --json "${files[@]}")
  pairs=$(json '", ".join(sorted({f["pair"] for f in d["files"]}))' <<<"$seen")
  timeframes=$(json '", ".join(sorted({f["timeframe"] for f in d["files"]}))' <<<"$seen")
  want="[$pairs] [$timeframes]"
  have() {
    "$aifx" --home "$1" config show --json |
      json '"[" + ", ".join(sorted(d["config"]["lines"]["fx-direction"]["pairs"])) + "] [" + ", ".join(d["config"]["lines"]["fx-direction"]["timeframes"]) + "]"'
  }
  if [ -e aifx.yaml ] && [ "$(have "$home")" != "$want" ]; then
    home=$PWD/data/own-candles
    if [ -e "$home/aifx.yaml" ] && [ "$(have "$home")" != "$want" ]; then
      echo "error: $home holds other candles than $want" >&2
      echo "  hint: move that folder away, or make a home of your own with aifx init" >&2
      exit 3
    fi
  fi
fi
run() {
  echo "+ aifx $*"
  "$aifx" --home "$home" "$@"
}

step "a home at $home, with a PostgreSQL of its own"
new=no
[ -e "$home/aifx.yaml" ] || new=yes
mkdir -p "$home"
run init
if [ $new = yes ] && [ ${#files[@]} -gt 0 ]; then
  sed -i -e "s|^\( *pairs:\).*|\1 [$pairs]|" -e "s|^\( *timeframes:\).*|\1 [$timeframes]|" "$home/aifx.yaml"
fi

step "candles"
if [ ${#files[@]} -gt 0 ]; then
  run import "${files[@]}"
  if [ -z "$as_of" ]; then
    as_of=$("$aifx" --home "$home" import --inspect --json "${files[@]}" | json 'max(f["closed_at"] for f in d["files"])')
  fi
else
  as_of=${as_of:-2025-10-19T00:00:00Z}
  run simulate --candles 4000 --seed 1 --edge 1 --end "$as_of"
fi

step "a dataset: candles, features and labels as CSV and Parquet"
run --as-of "$as_of" export --features v1 --labels volatility --output "$home/data/export"

step "the training label"
run --as-of "$as_of" label

step "a model"
run --as-of "$as_of" train-weekly
version=$("$aifx" --home "$home" models list --json | json 'sorted(d["models"], key=lambda m: m["created_at"])[-1]["version"]')

step "into production"
status=0
run --as-of "$as_of" promote "$version" --reason "demo" || status=$?
if [ $status = 8 ]; then
  echo "The gate wants more evidence than this test part holds. A demonstration goes against it, on the record:"
  run --as-of "$as_of" promote "$version" --force --reason "demo: first version of a new line, against the gate"
elif [ $status != 0 ]; then
  exit $status
fi
run models verify
run models show "$version"
step "watched"
run --as-of "$as_of" monitor --explain --dry-run
run --as-of "$as_of" report

echo
echo "Done in $((SECONDS - began)) s after set-up and build. Open the report:"
echo "  $home/models/fx-direction/$version/report.html"
