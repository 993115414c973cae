#!/usr/bin/env bash
# Installs Debian packages whose program is missing, or says in one sentence what to do.
# Tests that need a missing one are skipped, and fail where CI=true.
set -euo pipefail

missing=()
for program in "$@"; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install -y ${missing[*]}"
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  if { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null; then
    # Only the programs are wanted: each test starts its own server.
    for program in "${missing[@]}"; do
      service "$program" stop >/dev/null 2>&1 || true
    done
    exit 0
  fi
  echo "could not install ${missing[*]}: run '$install' yourself; what needs it is skipped"
else
  echo "not installed: ${missing[*]}; run 'sudo $install'; what needs it is skipped"
fi
