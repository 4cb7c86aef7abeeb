#!/usr/bin/env bash
# Kills publisher, receiver and Redis itself, at random moments, while a tape goes from one to the other and a signal
# stage follows it; then compares the tapes and the signals. About a minute for 20 kills of each.
# Usage: scripts/chaos_redis.sh [KILLS [SEED]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v redis-server >/dev/null || { echo "chaos_redis: redis-server is missing; run scripts/peers.sh" >&2; exit 2; }
export WEIR_BINARY="${WEIR_BINARY:-$PWD/.build/release/weir}"
[[ -x "$WEIR_BINARY" ]] || { echo "chaos_redis: $WEIR_BINARY is missing; run make build" >&2; exit 2; }
export WEIR_REDIS_KILLS="${1:-20}" WEIR_REDIS_SEED="${2:-$RANDOM}"
echo "chaos_redis: $WEIR_REDIS_KILLS kills of each, seed $WEIR_REDIS_SEED" >&2
exec swift test --filter RedisTransportTests/killsOfAllThree
