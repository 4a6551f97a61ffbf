#!/usr/bin/env bash
# Passes the tests: the set-up, then formatting, lints and every test against a PostgreSQL of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh redis-server

cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings

# One server for all tests, each with a database of its own; tests that stop a server start one themselves.
pg=$(mktemp -d /tmp/aifx-test-pg.XXXXXX)
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
as_server() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  chown postgres "$pg"
  as_server() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi
stop_server() {
  (cd / && as_server "$bin/pg_ctl" -D "$pg/data" -m immediate -w stop >/dev/null 2>&1) || true
  rm -rf "$pg"
}
trap stop_server EXIT
(
  cd /
  as_server "$bin/initdb" -D "$pg/data" -A trust -U aifx --no-sync -E UTF8 --locale=C >/dev/null
  as_server "$bin/pg_ctl" -D "$pg/data" -l "$pg/log" -w start >/dev/null \
    -o "-c listen_addresses='' -c unix_socket_directories=$pg -c fsync=off -c max_connections=200"
)
export AIFX_TEST_PGHOST="$pg"
# For the tests that read a model without aifx.
scripts/venv.sh third_party/test-venv tests/requirements.txt
export AIFX_TEST_PYTHON="$PWD/third_party/test-venv/bin/python"

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --locked --no-fail-fast
else
  cargo test --locked --no-fail-fast
fi
cargo test --locked --doc
