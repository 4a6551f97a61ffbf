#!/usr/bin/env bash
# Puts a CPU LibTorch 2.13.0 (the one that tch 0.26.0 is made for) into third_party/libtorch, from the official wheel:
# its C++ part alone, 0.4 GB on disk, no CUDA package and no Python environment. Does nothing when it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

version=2.13.0
wheel_sha256=60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7
dest=third_party/libtorch

if [ -n "${LIBTORCH:-}" ]; then
  echo "LIBTORCH is set: using $LIBTORCH"
  exit 0
fi
if [ "$(cat "$dest/build-version" 2>/dev/null || true)" = "$version" ]; then
  echo "LibTorch $version is there already ($dest)"
  exit 0
fi
if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "error: only Linux on x86_64 is set up by this script" >&2
  echo "  hint: install LibTorch $version yourself and set LIBTORCH to its folder" >&2
  exit 3
fi

mkdir -p third_party
work=$(mktemp -d third_party/.libtorch.XXXXXX)
trap 'rm -rf "$work"' EXIT
echo "fetching LibTorch $version (0.5 GB) …"
printf 'torch==%s --hash=sha256:%s\n' "$version" "$wheel_sha256" >"$work/requirements.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
  --requirement "$work/requirements.txt" --dest "$work" --only-binary=:all: \
  --implementation cp --python-version 3.11 --abi cp311 --platform manylinux_2_28_x86_64

python3 - "$work" <<'PY'
import glob, os, sys, zipfile

work = sys.argv[1]
wheel = glob.glob(work + "/torch-*.whl")[0]
libraries = {"torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libgomp.so.1"}
with zipfile.ZipFile(wheel) as z:
    for name in z.namelist():
        if name in libraries or name.startswith("torch/include/") or "/licenses/" in name:
            z.extract(name, work + "/x")
os.remove(wheel)
PY
lib="$work/x/torch/lib"

# libtorch_cpu.so names 27 functions of two CUDA libraries (its profiler): stubs that answer "error" satisfy the loader.
nm -D --undefined-only "$lib/libtorch_cpu.so" |
  sed -nE 's/.* U (cu[A-Za-z0-9_]+)@+(lib(cudart|cupti)\.so\.[0-9]+)$/\2 \1/p' | sort >"$work/symbols"
if [ "$(wc -l <"$work/symbols")" != 27 ]; then
  echo "error: the wheel wants other CUDA functions than expected; not going on" >&2
  exit 1
fi
cut -d' ' -f1 "$work/symbols" | sort -u | while read -r so; do
  awk -v so="$so" '$1 == so { print "int " $2 "(void) { return 999; }" }' "$work/symbols" >"$work/stub.c"
  echo "$so { global: *; };" >"$work/stub.map"
  cc -shared -fPIC -O1 -o "$lib/$so" "$work/stub.c" -Wl,-soname,"$so" -Wl,--version-script="$work/stub.map"
done
# The wheel's libtorch.so is an empty shell that pulls in the CUDA half: the same shell without it.
echo | cc -shared -fPIC -x c - -o "$lib/libtorch.so" -Wl,-soname,libtorch.so -Wl,--no-as-needed \
  -L"$lib" -ltorch_cpu -Wl,-rpath,'$ORIGIN' -Wl,--allow-shlib-undefined
strip --strip-unneeded "$lib/libtorch_cpu.so" "$lib/libc10.so"
if ldd "$lib/libtorch_cpu.so" | grep "not found"; then
  echo "error: LibTorch misses the libraries above" >&2
  exit 1
fi

rm -rf "$dest"
mv "$work/x/torch" "$dest"
mv "$work"/x/torch-*.dist-info/licenses "$dest/licenses" 2>/dev/null || true
# Last: the file that says the folder is complete, and that torch-sys checks its version against.
echo "$version" >"$dest/build-version"
echo "LibTorch $version is in $dest"
