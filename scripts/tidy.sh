#!/usr/bin/env bash
# tidy.sh [ROOT]: house rules that the compiler doesn't know. Prints every breach; exits 1 when there is one.
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

breaches=0
# breach RULE: reads `path:line: text` lines and reports them under the rule.
breach() {
  local line
  while IFS= read -r line; do
    printf '%s\n    %s\n' "$line" "$1"
    breaches=$((breaches + 1))
  done
}

# files PATH... -- FIND-EXPRESSION: the files below those of the paths that exist.
files() {
  local paths=()
  while [[ "$1" != -- ]]; do
    if [[ -e "$1" ]]; then paths+=("$1"); fi
    shift
  done
  shift
  if ((${#paths[@]} > 0)); then
    find "${paths[@]}" \( -name .build -o -name .git -o -name .deps -o -path ./out \) -prune -o -type f "$@" -print0
  fi
}

# search PATTERN [GREP-OPTION...]: matches in the files given as a NUL-separated list.
search() { xargs -0 -r grep -nHIP "${@:2}" -e "$1" || true; }

stages=(Sources/Core Sources/Tape Sources/Binance Sources/Book Sources/Flow Sources/Strategy Sources/Store Sources/Venue
  Sources/Rules Sources/Services/Harvest Sources/Services/Signal Tests/SimulationKit)
ambient='\bDate\(|\bclock_gettime\b|\bgettimeofday\b|\b(Continuous|Suspending)Clock\b|\bDispatchTime\b|\btime\(nil\)'
ambient+='|\bTask\.sleep\b|\bSystemRandomNumberGenerator\b|\.random\((in|\))|\.shuffled\(\)|\.randomElement\(\)'
ambient+='|\barc4random|\bgetrandom\(|/dev/u?random\b|\bdrand48\(|\brand\(\)'
breach "a stage takes its time from its input and its randomness from SeededRandom" \
  < <(files "${stages[@]}" -- -name '*.swift' ! -path '*/Tape/PaceClock.swift' | search "$ambient")

breach "Sources get by with Glibc; Foundation costs 10 MB in every service" \
  < <(files Sources -- -name '*.swift' | search '^\s*(@\w+(\(\w+\))?\s+)*(\w+\s+)?import\s+(\w+\s+)?Foundation')

# Spelt with brackets so that this file doesn't break its own rule.
words='\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b|(?i:\b[s]tubs?\b|\b[p]laceholders?\b|\b[h]ard-?coded\b)'
breach "finish it, or say what it does instead of what it lacks" \
  < <(files Sources Tests scripts .ci Makefile Package.swift -- | search "$words")

breach "a tab or blanks at a line's end" \
  < <({
    files . -- -regex '.*\.\(swift\|sh\|md\|yaml\|yml\|h\|modulemap\|txt\)' | search '[ \t]+$|\t'
    files Makefile .ci -- | search '[ ]+$'
  })

breach "the path of one person's machine" \
  < <(files . -- ! -name LICENSE | search '(?<![\w.}])/(home|root|Users)/\w')

breach "@unchecked Sendable needs a comment above it that proves it" \
  < <(files Sources -- -name '*.swift' | xargs -0 -r awk '
    FNR == 1 { above = "" }
    /@unchecked Sendable/ && !/^[ ]*\/\// && above !~ /^[ ]*\/\// { print FILENAME ":" FNR ": " $0 }
    { above = $0 }')

breach "longer than 500 lines: split it by facet" \
  < <(files Sources Tests -- -name '*.swift' | xargs -0 -r awk '
    FNR == 501 { print FILENAME ":501: …" }')

if ((breaches > 0)); then
  printf 'tidy: %d breaches\n' "$breaches"
  exit 1
fi
