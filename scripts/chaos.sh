#!/usr/bin/env bash
# KILLS times kill -9 of services of running Weirs, by the plan of SEED; exit code 1 when anything differs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

swift build --quiet -c release --product weir
swift build --quiet -c release --product chaos
.build/release/chaos .build/release/weir --kills "${KILLS:-200}" --seed "${SEED:-1}"
