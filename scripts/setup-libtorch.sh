#!/usr/bin/env bash
# CPU LibTorch 2.13.0 for tch 0.26.0, taken from the PyPI wheel (pip only; no CUDA packages).
set -euo pipefail
cd "$(dirname "$0")/.."
VER=2.13.0
WHEEL_SHA256=60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7
DEST=third_party/libtorch
[ "$(cat "$DEST/build-version" 2>/dev/null || true)" = "$VER" ] && { echo "libtorch $VER already in $DEST"; exit 0; }
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "only Linux x86_64 is automated; set LIBTORCH yourself" >&2; exit 1; }
mkdir -p third_party; TMP=$(mktemp -d third_party/.libtorch.XXXXXX); trap 'rm -rf "$TMP"' EXIT
printf 'torch==%s --hash=sha256:%s\n' "$VER" "$WHEEL_SHA256" > "$TMP/req.txt"
python3 -m pip download --quiet --no-cache-dir --no-deps --require-hashes -r "$TMP/req.txt" -d "$TMP" \
  --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 --platform manylinux_2_28_x86_64
python3 - "$TMP" <<'PY'
import sys, zipfile, glob, os
tmp = sys.argv[1]
keep = {"torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libgomp.so.1"}
with zipfile.ZipFile(glob.glob(tmp + "/torch-*.whl")[0]) as z:
    for n in z.namelist():
        if n in keep or n.startswith("torch/include/") or "/licenses/" in n:
            z.extract(n, tmp + "/x")
os.remove(glob.glob(tmp + "/torch-*.whl")[0])
PY
L="$TMP/x/torch/lib"
# libtorch_cpu.so is linked against two CUDA libraries (profiler only): satisfy them with do-nothing stubs.
nm -D --undefined-only "$L/libtorch_cpu.so" | sed -nE 's/.* U (cu[A-Za-z0-9_]+)@+(lib(cudart|cupti)\.so\.[0-9]+)$/\2 \1/p' | sort > "$TMP/syms"
cut -d' ' -f1 "$TMP/syms" | sort -u | while read -r so; do
  awk -v s="$so" '$1==s{print "int " $2 "(void){return 999;}"}' "$TMP/syms" > "$TMP/stub.c"
  echo "$so { global: *; };" > "$TMP/stub.map"
  cc -shared -fPIC -O1 -o "$L/$so" "$TMP/stub.c" -Wl,-soname,"$so" -Wl,--version-script="$TMP/stub.map"
done
# the wheel's libtorch.so is an empty shell that drags in libtorch_cuda.so: same shell without it
echo | cc -shared -fPIC -x c - -o "$L/libtorch.so" -Wl,-soname,libtorch.so -Wl,--no-as-needed -L"$L" -ltorch_cpu -Wl,-rpath,'$ORIGIN' -Wl,--allow-shlib-undefined
strip --strip-unneeded "$L/libtorch_cpu.so" "$L/libc10.so"
ldd "$L/libtorch_cpu.so" | grep "not found" && { echo "unresolved libraries" >&2; exit 1; }
[ "$(wc -l < "$TMP/syms")" = 27 ] || { echo "unexpected CUDA symbol set" >&2; exit 1; }
rm -rf "$DEST"
mv "$TMP/x/torch" "$DEST"; mv "$TMP"/x/torch-*.dist-info/licenses "$DEST/licenses" 2>/dev/null || true
echo "$VER" > "$DEST/build-version"
du -sh "$DEST"
