#!/usr/bin/env bash
# Runs every fuzz target for the given time or number of inputs each: test/fuzz.sh 60s, test/fuzz.sh 2000x. `go test -fuzz` takes one target of one package at a
# time, so this finds them all. A failing input is written to the package's testdata/fuzz, to be committed with the fix.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly each=${1:?usage: test/fuzz.sh TIME-or-COUNTx}

# Only packages whose tests mention a target are asked, for asking builds their test binary. tools and bench are
# modules of their own.
mapfile -t dirs < <(grep -rlE --include='*_test.go' --exclude-dir='.?*' --exclude-dir=tools --exclude-dir=bench \
  '^func Fuzz' . | xargs -r -n 1 dirname | sort -u)

count=0
for dir in "${dirs[@]}"; do
  listed=$(go test -list '^Fuzz' "$dir")
  while read -r target; do
    case $target in Fuzz*) ;; *) continue ;; esac
    printf '%s %s %s\n' "$each" "$dir" "$target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$each" "$dir"
    count=$((count + 1))
  done <<<"$listed"
done
printf 'fuzzed %d targets\n' "$count"
