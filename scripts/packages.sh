# Sourced by setup.sh and peers.sh, which define `say`: installs the Debian packages of a list.
# A list has one package a line: name, expected version (a prefix, or -), and what it is for.
# dpkg is asked every time instead of trusting a stamp, and nothing is run when nothing is missing.

# install_packages LIST RETRY: RETRY is the command a person runs again after mending something.
# Afterwards all of them are there. Exits 1 when an installation failed, 2 when a person has to do something.
install_packages() {
  local list=$1 retry=$2
  if ! command -v dpkg-query >/dev/null; then
    say "dpkg-query is missing: this script knows Debian 12 only"
    say "  do: install the packages named in scripts/${list##*/} by your system's own means"
    exit 2
  fi

  local names=() wanted=() reasons=() name version reason
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
  local missing=() index
  for index in "${!names[@]}"; do
    name=${names[index]}
    if [[ -z "${installed[$name]:-}" ]]; then
      say "missing: $name ${wanted[index]} (${reasons[index]})"
      missing+=("$name")
    fi
  done

  if ((${#missing[@]} > 0)); then
    local as_root
    if [[ "$(id -u)" == 0 ]]; then
      as_root=()
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      say "  do, as root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
      exit 2
    fi
    export DEBIAN_FRONTEND=noninteractive
    local log
    log=$(mktemp)
    trap "rm -f '$log'" EXIT
    say "installing ${#missing[@]} packages"
    if ! "${as_root[@]}" apt-get update >"$log" 2>&1 </dev/null; then
      cat "$log" >&2
      say "apt-get update failed (above); trying with the package lists that are there"
    fi
    if ! "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; then
      cat "$log" >&2
      say "apt-get install failed (above)"
      say "  do: mend what it names, then run $retry again"
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

  local want have
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
}
