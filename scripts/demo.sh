#!/usr/bin/env bash
# From recorded or generated frames to tape, signals and their comparison, in out/demo; about a minute.
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
else
  echo "recordings: none in $recordings (set WEIR_DATA); a market is generated instead"
  step "$weir" venue generate --seed 7 --symbols BTCUSDT,ETHUSDT --minutes 10 --out "$out/tape" \
    --truth "$out/truth.json"
fi
step "$weir" replay "$out/tape" --out "$out/run" --sink dual
step "$weir" parity "$out/run"

printf '\nThe daily reports (Markdown with charts):\n'
ls "$out"/run/reports/*.md "$out"/run/reports/charts/*.svg
