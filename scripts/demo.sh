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

printf '\n== live for 15 seconds: the simulated exchange, the harvester, and the signal stage behind it\n'
"$weir" venue serve --port 0 --seed 7 --truth "$out/live-truth.json" >"$out/venue.json" &
venue=$!
trap 'kill "$venue" 2>/dev/null || true' EXIT
until [[ -s "$out/venue.json" ]]; do sleep 0.1; done
address=$(sed 's/.*"rest":"\([^"]*\)".*/\1/' "$out/venue.json")
"$weir" signal "$out/live" --out "$out/live-run" --sink jsonl --idle-s 3 --quiet >"$out/live-signal.txt" &
signal=$!
step "$weir" harvest --venue "$address" --symbols BTCUSDT,ETHUSDT --out "$out/live" --minutes 0.2
kill "$venue"
wait "$signal"
step "$weir" replay "$out/live" --out "$out/live-replay" --sink jsonl --quiet
if cmp -s <(cat "$out"/live-run/signals/jsonl/*) <(cat "$out"/live-replay/signals/jsonl/*); then
  echo "live signals and those of the replay: the same bytes"
else
  echo "live signals differ from those of the replay"
  exit 1
fi

printf '\nThe daily reports (Markdown with charts):\n'
ls "$out"/run/reports/*.md "$out"/run/reports/charts/*.svg
