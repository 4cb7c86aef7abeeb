#!/usr/bin/env bash
# required-tests.sh LOG LIST: fails unless every test in LIST ran and passed, by the output of `swift test`.
# LIST has one name a line as the output prints it: Suite "Decimal scale", or Test exact(_:_:_:).
set -euo pipefail
log=$1
list=$2

total=0 bad=0
while IFS= read -r name || [[ -n "$name" ]]; do
  [[ -z "$name" || "$name" == \#* ]] && continue
  total=$((total + 1))
  # The last outcome printed for the name; several tests of one name all have to pass.
  outcome=$(NAME="$name" awk '
    BEGIN { name = ENVIRON["NAME"] }
    {
      mark = index($0, " ")
      rest = substr($0, mark + 1)
      if (mark == 0 || substr(rest, 1, length(name) + 1) != name " ") next
      tail = substr(rest, length(name) + 2)
      if (tail ~ /^(with [0-9]+ test cases? )?passed after/) { if (worst == "") worst = "passed" }
      else if (tail ~ /^skipped/) { worst = tail }
      else if (tail ~ /^was cancelled/) { worst = "cancelled" }
      else if (tail ~ /^(with [0-9]+ test cases? )?failed after/) { worst = "failed" }
    }
    END { print worst == "" ? "did not run" : worst }
  ' "$log")
  if [[ "$outcome" != passed ]]; then
    printf 'required: %s: %s\n' "$name" "$outcome"
    bad=$((bad + 1))
  fi
done <"$list"

printf 'required tests: %d listed, %d not passed\n' "$total" "$bad"
((bad == 0))
