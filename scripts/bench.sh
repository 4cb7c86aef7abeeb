#!/usr/bin/env bash
# bench.sh: what replaying costs, on a generated tape of more than a million frames, all in one run on this machine.
# Figures of one machine say little; the ratios to the plain read and to the Python loop say more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

weir=.build/release/weir
out=out/bench
runs=${BENCH_RUNS:-5}
mkdir -p "$out"
swift build --quiet -c release --product pipeline-benchmark

tape() {  # tape NAME MINUTES
  [[ -f "$out/$1.done" ]] && return
  rm -rf "${out:?}/$1"
  "$weir" venue generate --seed 1 --symbols BTCUSDT,ETHUSDT,SOLUSDT,DOGEUSDT --minutes "$2" --out "$out/$1" --quiet >/dev/null
  touch "$out/$1.done"
}

# field NAME: reads a JSON line, prints one of its top-level numbers
field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" | head -1; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

echo "generating the tapes (once)"
tape large 50
tape small 25

echo
echo "parts (best of 5 passes, thread CPU time):"
.build/release/pipeline-benchmark "$out/large" | tr ',' '\n' | tr -d '{}"' | sed 's/^/  /; s/:/: /'

# measure WHAT OPTIONS…: frames per CPU-second of a replay
measure() {
  local rates=() line memory what=$1
  shift
  for _ in $(seq "$runs"); do
    rm -rf "$out/run"
    line=$("$weir" replay "$out/large" --out "$out/run" --json --quiet "$@")
    rates+=("$(field frames_per_cpu_s <<<"$line")")
    memory=$(field max_rss_mb <<<"$line")
  done
  echo "replay, tape on disk to $what: $(printf '%s\n' "${rates[@]}" | median) frames per CPU-second" \
    "(median of $runs: ${rates[*]}), $memory MB"
}
off=(--set strategy.dynamic=false --set divergence.enabled=false --set shadow.enabled=false)
echo
for sink in jsonl dual; do
  measure "$sink" --sink "$sink"
  measure "$sink, every row (no throttling)" --sink "$sink" --set strategy.throttle_in_quiet=false
  measure "$sink, without modes, divergence and shadow" --sink "$sink" "${off[@]}"
done

if command -v cc >/dev/null; then
  cc -O2 -shared -fPIC -o "$out/count_allocations.so" Benchmarks/count_allocations.c
  allocations() {
    rm -rf "$out/run"
    LD_PRELOAD="$PWD/$out/count_allocations.so" "$weir" replay "$out/$1" --out "$out/run" --sink jsonl --json --quiet \
      2>"$out/allocations.txt" >"$out/allocations.json"
    echo "$(field frames_total <"$out/allocations.json") $(sed -n 's/allocations //p' "$out/allocations.txt")"
  }
  read -r frames_large count_large <<<"$(allocations large)"
  read -r frames_small count_small <<<"$(allocations small)"
  echo
  awk -v f1="$frames_small" -v c1="$count_small" -v f2="$frames_large" -v c2="$count_large" 'BEGIN {
    printf "heap allocations: %d over %d frames, %d over %d frames; in steady state %.5f a frame\n",
      c1, f1, c2, f2, (c2 - c1) / (f2 - f1) }'
fi

if command -v valgrind >/dev/null; then
  instructions() {
    rm -rf "$out/run"
    valgrind --tool=none true 2>/dev/null || return 1
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$weir" replay "$out/$1" --out "$out/run" --sink jsonl \
      --json --quiet 2>"$out/instructions.txt" >"$out/instructions.json"
    echo "$(field frames_total <"$out/instructions.json") $(sed -n 's/.*Collected : //p' "$out/instructions.txt")"
  }
  if [[ ${BENCH_INSTRUCTIONS:-0} == 1 ]] && read -r f2 i2 <<<"$(instructions large)" && read -r f1 i1 <<<"$(instructions small)"; then
    echo
    awk -v f1="$f1" -v i1="$i1" -v f2="$f2" -v i2="$i2" 'BEGIN {
      printf "instructions: %.0f a frame in steady state\n", (i2 - i1) / (f2 - f1) }'
  fi
fi

if command -v python3 >/dev/null; then
  echo
  segment=$(ls "$out"/large/*.ndjson | head -1)
  echo "peer, Python json.loads + dict books + OFI + CVD on the same lines:" \
    "$(python3 Benchmarks/python_loop.py "$segment" 150000) frames per CPU-second"
fi
