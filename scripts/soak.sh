#!/usr/bin/env bash
# A soak against a real Pushgateway, which peers.sh installs: MINUTES of it, 10 if not said. Exit code: the soak's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

swift build --quiet -c release --product weir
scripts/peers.sh || true
folder=out/soak
rm -rf "$folder"
.build/release/weir soak --minutes "${MINUTES:-10}" --run-dir "$folder"
