#!/usr/bin/env bash
# Makes .deps/lib: libraries that Debian 12 has no package of, taken from the wheels in libraries.txt.
# It ends at once when all is there. Exit codes: 0 ready, 2 it cannot be made here: what needs them then says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=.deps/lib
python=/usr/bin/python3
list=scripts/libraries.txt

say() { printf 'libraries: %s\n' "$*" >&2; }
give_up() {
  say "$1"
  say "  do: $2, then run make setup again; until then weir sql and weir validate are not available"
  exit 2
}

stamp=$(cat "$list" scripts/libraries.sh | sha256sum | cut -c 1-16)
[[ -f "$target/stamp" && "$(<"$target/stamp")" == "$stamp" ]] && exit 0
[[ "$(uname -m)" == x86_64 ]] || give_up "the pinned wheels are for x86_64, this is $(uname -m)" \
  "put a libduckdb.so where the system finds it, or name it in WEIR_DUCKDB_LIBRARY"
"$python" -m pip --version >/dev/null 2>&1 || give_up "$python has no pip" "install the package python3-pip"

say "fetching DuckDB, about 25 MB"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
  --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 \
  --dest "$work" --requirement "$list" >"$work/log" 2>&1 </dev/null; then
  tail -n 5 "$work/log" >&2
  give_up "the wheels could not be fetched (above)" "mend the network"
fi

"$python" - "$work" <<'PYTHON'
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(work.glob("duckdb-*.whl"))) as wheel:
    name = next(n for n in wheel.namelist() if n.startswith("_duckdb.") and n.endswith(".so"))
    (work / "libduckdb.so").write_bytes(wheel.read(name))
PYTHON

# The object wants symbols of a Python interpreter. The functions are never called, but data is bound when the
# library is loaded: a second library defines every name.
{
  nm -D --undefined-only "$work/libduckdb.so" | awk '$NF ~ /^_?Py/ { print $NF }' | sort -u \
    | sed 's/.*/__attribute__((visibility("default"))) long &[256];/'
} >"$work/names.c"
cc -shared -fPIC -o "$work/libduckdb-python.so" "$work/names.c"

mkdir -p "$target"
for file in libduckdb-python.so libduckdb.so; do
  # Renamed into place: a program that runs keeps the old one.
  cp "$work/$file" "$target/.$file.new"
  mv "$target/.$file.new" "$target/$file"
done
echo "$stamp" >"$target/stamp"
say "ready: $target/libduckdb.so"
