#!/usr/bin/env bash
# Brings a bare Debian 12 to where Weir builds: checks Swift, installs the missing Debian packages.
# It ends at once when nothing is missing.
# Exit codes: 0 all there, 1 an installation failed, 2 something a person has to do.
set -euo pipefail

swift_needed="6.3"
# Only bash itself until Swift has been found: PATH may be what is wrong.
folder="${BASH_SOURCE[0]%/*}"
[[ -e "$folder/packages.txt" ]] || folder=.
list="$folder/packages.txt"

say() { printf 'setup: %s\n' "$*" >&2; }
# shellcheck source=scripts/packages.sh
source "$folder/packages.sh"

explain_swift() {
  say "$1"
  say "  do: install Swift $swift_needed or later for Debian 12 from https://www.swift.org/install/linux/"
  say "      and put its usr/bin on PATH"
  local found
  for found in /opt/swift*/usr/bin /usr/local/swift*/usr/bin "${HOME:-/}"/.local/share/swiftly/bin; do
    if [[ -x "$found/swift" ]]; then
      say "  there is one at $found: run export PATH=\"$found:\$PATH\""
      break
    fi
  done
  exit 2
}

# 0 new enough; exits when Swift is absent or old; 1 when it cannot run yet (its libraries may be missing).
check_swift() {
  command -v swift >/dev/null || explain_swift "swift is missing: no such program on PATH"
  local text
  text=$(swift --version 2>/dev/null </dev/null) || return 1
  [[ "$text" =~ Swift\ version\ ([0-9]+)\.([0-9]+) ]] || return 1
  local major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
  if ((major * 1000 + minor < ${swift_needed%.*} * 1000 + ${swift_needed#*.})); then
    explain_swift "swift is too old: version $major.$minor at $(command -v swift), $swift_needed is needed"
  fi
}

swift_runs=yes
check_swift || swift_runs=no

install_packages "$list" "make setup"
# Optional at run time: what needs such a library says so, all else works without it.
"$folder/libraries.sh" || say "going on without the libraries above"

if [[ "$swift_runs" == no ]]; then
  check_swift || explain_swift "swift at $(command -v swift) does not run: $(swift --version 2>&1 </dev/null | head -n 3)"
fi
