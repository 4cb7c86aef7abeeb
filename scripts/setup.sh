#!/usr/bin/env bash
# Brings a bare Debian 12 to where Weir builds: checks Swift, installs the missing Debian packages.
# It asks dpkg every time instead of trusting a stamp, and ends at once when nothing is missing.
# Exit codes: 0 all there, 1 an installation failed, 2 something a person has to do.
set -euo pipefail

swift_needed="6.3"
# Only bash itself until Swift has been found: PATH may be what is wrong.
list="${BASH_SOURCE[0]%/*}/packages.txt"
[[ -e "$list" ]] || list=packages.txt

say() { printf 'setup: %s\n' "$*" >&2; }

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

if ! command -v dpkg-query >/dev/null; then
  say "dpkg-query is missing: this script knows Debian 12 only"
  say "  do: install the libraries named in scripts/packages.txt by your system's own means"
  exit 2
fi

names=() wanted=() reasons=()
while read -r name version reason; do
  [[ -z "$name" || "$name" == \#* ]] && continue
  names+=("$name") wanted+=("$version") reasons+=("$reason")
done <"$list"

declare -A installed
read_installed() {
  installed=()
  local name state version
  while read -r name state version; do
    if [[ "$state" == installed ]]; then installed[$name]=$version; fi
    # dpkg-query fails when one name is unknown, which is just what is being asked.
  done < <(dpkg-query -W -f '${Package} ${db:Status-Status} ${Version}\n' "${names[@]}" 2>/dev/null || true)
}

read_installed
missing=()
for index in "${!names[@]}"; do
  name=${names[index]}
  if [[ -z "${installed[$name]:-}" ]]; then
    say "missing: $name ${wanted[index]} (${reasons[index]})"
    missing+=("$name")
  fi
done

if ((${#missing[@]} > 0)); then
  if [[ "$(id -u)" == 0 ]]; then
    as_root=()
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    say "  do, as root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    exit 2
  fi
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  say "installing ${#missing[@]} packages"
  if ! "${as_root[@]}" apt-get update >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    say "apt-get update failed (above); trying with the package lists that are there"
  fi
  if ! "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    say "apt-get install failed (above)"
    say "  do: mend what it names, then run make setup again"
    exit 1
  fi
  read_installed
  for name in "${missing[@]}"; do
    if [[ -z "${installed[$name]:-}" ]]; then
      say "$name is still missing after its installation"
      exit 1
    fi
    say "installed: $name ${installed[$name]}"
  done
fi

for index in "${!names[@]}"; do
  want=${wanted[index]}
  have=${installed[${names[index]}]}
  # An epoch counts only where the list names one.
  [[ "$want" == *:* ]] || have=${have#*:}
  case "$have" in
    "$want" | "$want"[!0-9]*) ;;
    *) [[ "$want" == - ]] || say "warning: ${names[index]} is $have; Weir is tested with $want" ;;
  esac
done

if [[ "$swift_runs" == no ]]; then
  check_swift || explain_swift "swift at $(command -v swift) does not run: $(swift --version 2>&1 </dev/null | head -n 3)"
fi
