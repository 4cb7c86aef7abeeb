#!/usr/bin/env bash
# The main job, live, for a minute on the embedded venue: weir run with all services, a live table, and its report.
# Its Parquet is validated and asked by SQL. With recordings at hand they are imported and replayed first. Everything is left in out/demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

weir=.build/release/weir
out=out/demo
recordings="${WEIR_DATA:-../shared/data}/usdm_20240718"

step() { printf '\n== %s\n' "$*"; "$@"; }

rm -rf "$out"
mkdir -p "$out"

shopt -s nullglob
files=("$recordings"/*.gz)
if ((${#files[@]} > 0)); then
  echo "recordings: ${#files[@]} files in $recordings"
  step "$weir" import --out "$out/tape" "${files[@]}"
  step "$weir" replay "$out/tape" --out "$out/replay" --sink dual
  step "$weir" parity "$out/replay"
  step "$weir" evaluate "$out/replay" --tape "$out/tape" --horizons 10,60 --quiet
else
  echo "recordings: none in $recordings (set WEIR_DATA); the embedded venue's seeded market is all there is"
fi

echo
echo "no exchange is configured: the run has a simulated venue of its own, with a seeded market"
# The default warm-up of three minutes would end after the demo; values judged by 15 s of history are for show.
brief=(--config config/defaults.yaml --set flow.warmup_ms=15000)
step "$weir" run "${brief[@]}" --enable harvest,signal,broker,report,convert --sink dual \
  --minutes "${MINUTES:-1}" --run-dir "$out/run"

step "$weir" replay "$out/run/tape" --out "$out/again" --sink jsonl --quiet "${brief[@]}" >/dev/null
if cmp -s <(cat "$out"/run/signals/jsonl/*) <(cat "$out"/again/signals/jsonl/*); then
  echo "live signals and those of a replay of the tape: the same bytes"
else
  echo "live signals differ from those of the replay"
  exit 1
fi

printf '\nA minute is far too short to judge signals by; this is how it is done:\n'
step "$weir" evaluate "$out/run" --tape "$out/run/tape" --horizons 1,5 --quiet

printf '\nThe tape as typed rows: proven equal to the tape, and asked by SQL\n'
if [[ -e .deps/lib/libduckdb.so ]]; then
  step "$weir" validate "$out/run/tape" "$out/run/parquet"
  step "$weir" sql --data "$out/run/parquet" --query symbol_totals --format table
else
  echo "DuckDB is not there (see make setup): neither is done"
fi

printf '\n== the report of the run\n'
cat "$out"/run/summary_*.md
printf '\nMore: %s and its folder (manifests, parity, orders, charts)\n' "$out/run/run_manifest.json"
