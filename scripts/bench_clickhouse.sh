#!/usr/bin/env bash
# Loads a generated market into ClickHouse, kills the server in the middle, and compares: rows a second, equality.
# usage: scripts/bench_clickhouse.sh [MINUTES]     about 53,000 rows a minute; 10 M rows are 190 minutes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=${1:-190}
weir=${WEIR_BINARY:-.build/release/weir}
python=.deps/peers/bin/python
[[ -x "$python" ]] || { echo "bench: chdb is missing; run scripts/peers.sh" >&2; exit 2; }
folder=$(mktemp -d)
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
server=
trap '[[ -z "$server" ]] || kill -9 "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT

start() {
  "$python" Tests/Conformance/Scripts/chdb_server.py "$port" "$folder/data" >"$folder/log" 2>&1 &
  server=$!
  for _ in $(seq 600); do
    curl -sf "http://127.0.0.1:$port/ping" >/dev/null && return
    sleep 0.1
  done
  echo "bench: the server does not answer: $(tail -n 3 "$folder/log")" >&2
  exit 1
}

"$weir" venue generate --seed 5 --minutes "$minutes" --symbols BTCUSDT,ETHUSDT --out "$folder/tape" --quiet
start
options=(--url "http://127.0.0.1:$port" --json)
"$weir" clickhouse init "${options[@]}"
"$weir" clickhouse load "$folder/tape" "${options[@]}" >"$folder/result" &
loader=$!
sleep "${KILL_AFTER_S:-10}"
if kill -0 "$loader" 2>/dev/null; then
  kill -9 "$server"
  wait "$server" 2>/dev/null || true
  echo "bench: server killed" >&2
  sleep 2
  start
fi
wait "$loader"
tail -n 1 "$folder/result"
"$weir" clickhouse check "$folder/tape" "${options[@]}"
