#!/usr/bin/env bash
# Builds the release binaries (end-to-end and conformance tests run them) and runs all tests. Arguments go to `swift test`.
# The whole output is kept in .build/test.log; shown are failures, skips, and a line for each suite.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

swift build --quiet -c release --product weir
swift build --quiet -c release --product net-peer
export WEIR_BINARY="$PWD/.build/release/weir"
export WEIR_PEER="$PWD/.build/release/net-peer"
# Without them the conformance tests say that they are skipped.
scripts/peers.sh || true
export WEIR_DATA="${WEIR_DATA:-../shared/data}"
[[ -d "$WEIR_DATA" ]] || echo "recordings: none at $WEIR_DATA; tests that need them will be skipped (set WEIR_DATA)"

mkdir -p .build
# A line that begins with none of the marks continues the one before it.
swift test --disable-xctest "$@" 2>&1 </dev/null | tee .build/test.log | awk '
  /^◇ Test run started/ { testing = 1 }
  !testing { if ($0 !~ /^\[[0-9]+\/[0-9]+\]|^Building for|^Build complete/) { print; fflush() } next }
  /^(◇|✔ Test )/ { shown = /^✔ Test run with/ }
  /^(✔ Suite|✘|➜|━)|^(error|warning):|Fatal error|[Cc]rashed|^\*\*\*/ { shown = 1 }
  shown { print; fflush() }
'
