#!/usr/bin/env bash
# Runs the deterministic simulation in release: SEEDS seeds (10000) from FROM (1) on all processors, then the mistakes
# made on purpose, each of which has to be found. A seed that fails is repeated by
# .build/release/simulation run --from SEED --seeds 1 --trace
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

swift build --quiet -c release --product simulation
simulation=.build/release/simulation
threads=$(nproc)
"$simulation" run --from "${FROM:-1}" --seeds "${SEEDS:-10000}" --threads "$threads"
"$simulation" defects --threads "$threads"
