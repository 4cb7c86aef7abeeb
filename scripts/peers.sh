#!/usr/bin/env bash
# Makes .deps/peers: the third-party clients and servers that the conformance tests talk to. Only tests use it.
# It ends at once when all is there. Exit codes: 0 ready, 2 it cannot be made here (the tests are then skipped).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

peers=.deps/peers
python=/usr/bin/python3
lists=(Tests/Conformance/Scripts/requirements.txt Tests/Conformance/Scripts/requirements-connector.txt)

say() { printf 'peers: %s\n' "$*" >&2; }
source scripts/packages.sh

# Some packages are servers, which Debian starts when it installs them, and again at each boot. The tests start
# their own on free ports: nothing is started here, and what an installation enabled is disabled again.
policy=/usr/sbin/policy-rc.d
as_root=()
[[ "$(id -u)" == 0 ]] || as_root=(sudo -n)
new_servers=()
for name in prometheus prometheus-pushgateway victoria-metrics redis-server clickhouse-server; do
  command -v "$name" >/dev/null || new_servers+=("$name")
done
if ((${#new_servers[@]} > 0)) && [[ ! -e "$policy" ]]; then
  trap '"${as_root[@]}" rm -f "$policy" 2>/dev/null || true' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy" 2>/dev/null || true
fi

# A machine may do without the browser, wrk or a server; what needs them is then skipped.
if ! (install_packages scripts/test-packages.txt scripts/peers.sh); then
  say "some packages are missing (above); the tests that use them will be skipped"
fi
if ((${#new_servers[@]} > 0)) && [[ -d /run/systemd/system ]]; then
  "${as_root[@]}" systemctl disable --now --quiet "${new_servers[@]}" 2>/dev/null || true
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  say "$python cannot make environments: the package python3-venv is missing"
  say "  do: install it, then run scripts/peers.sh again; until then the conformance tests are skipped"
  exit 2
fi

stamp=$({ "$python" --version; cat "${lists[@]}"; } | sha256sum | cut -c 1-16)
[[ -f "$peers/stamp" && "$(<"$peers/stamp")" == "$stamp" ]] && exit 0

say "making $peers, for the conformance tests: $(grep -c '==' "${lists[0]}") Python packages, about a minute"
rm -rf "$peers"
mkdir -p "$peers"
log=$peers/log
fetch() { "$peers/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$@" >>"$log" 2>&1 </dev/null; }
if ! "$python" -m venv "$peers" >"$log" 2>&1 || ! fetch --requirement "${lists[0]}" \
  || ! fetch --target "$peers/connector" --requirement "${lists[1]}"; then
  tail -n 5 "$log" >&2
  say "the packages could not be fetched (above; all of it in $log)"
  say "  do: mend the network, then run scripts/peers.sh again; until then the conformance tests are skipped"
  exit 2
fi
"$peers/bin/python" -m pip check >>"$log" 2>&1 || say "warning: $(tail -n 1 "$log")"
echo "$stamp" >"$peers/stamp"
say "ready"
