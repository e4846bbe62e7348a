#!/usr/bin/env bash
# Checks the alerts and runs their unit tests, with promtool.
#
# As root on a Debian-like system it installs promtool with apt-get where it is missing. Otherwise it says in one line
# that nothing was checked, and exits 0; REFUND_WORKER_REQUIRE_REAL=1 makes that an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

install_promtool() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  echo "promtool: installing the package prometheus"
  local log
  log=$(mktemp)
  if { apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus; } >"$log" 2>&1 </dev/null; then
    rm -f "$log"
    # The package starts a server of its own where there is an init system; only its tool is wanted.
    if command -v systemctl >/dev/null && systemctl is-active --quiet prometheus 2>/dev/null; then
      systemctl disable --now --quiet prometheus || true
    elif command -v service >/dev/null; then
      service prometheus stop >/dev/null 2>&1 || true
    fi
    return 0
  fi
  tail -n 3 "$log" >&2
  rm -f "$log"
  return 1
}

if ! command -v promtool >/dev/null && ! install_promtool; then
  echo "promtool: MISSING (not on PATH, and it could not be installed); the alerts were not checked"
  [ "${REFUND_WORKER_REQUIRE_REAL:-}" != 1 ]
  exit
fi
promtool check rules rules.yaml
promtool test rules rules_test.yaml
