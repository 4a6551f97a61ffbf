#!/usr/bin/env bash
# Installs what aifx needs on Debian or Ubuntu and is not there yet: a C++ compiler, pip, PostgreSQL 15 or later (its
# binaries; no server is started), LibTorch, and the commands given as arguments. Run again, it changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

have_postgres() {
  local initdb major
  for initdb in /usr/lib/postgresql/*/bin/initdb; do
    [ -x "$initdb" ] || continue
    major=${initdb#/usr/lib/postgresql/}
    major=${major%%/*}
    [ "$major" -ge 15 ] && return 0
  done
  return 1
}

missing=()
command -v g++ >/dev/null || missing+=(g++)
command -v nm >/dev/null || missing+=(binutils)
command -v pkg-config >/dev/null || missing+=(pkg-config)
command -v python3 >/dev/null || missing+=(python3)
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
have_postgres || missing+=(postgresql)
# What the caller wants besides: commands that are packages of the same name.
for extra in "$@"; do
  command -v "$extra" >/dev/null || missing+=("$extra")
done

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "error: cannot install ${missing[*]}: this is neither Debian nor Ubuntu" >&2
    echo "  hint: install them with your system's own tools and run this again" >&2
    exit 3
  fi
  echo "installing: ${missing[*]}"
  if [[ " ${missing[*]} " == *" postgresql "* ]]; then
    # aifx runs a server of its own: the package need not make and start one.
    as_root mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" |
      as_root tee /etc/postgresql-common/createcluster.d/aifx.conf >/dev/null
  fi
  as_root apt-get update -q
  # What a package brings along as a service is not started: in this runlevel nothing is.
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
have_postgres || {
  echo "error: this system offers no PostgreSQL 15 or later" >&2
  exit 3
}
if ! command -v cargo >/dev/null; then
  echo "error: cargo is not on the PATH" >&2
  echo "  hint: install Rust 1.95 or later (rustup) and run this again" >&2
  exit 3
fi
scripts/setup-libtorch.sh
