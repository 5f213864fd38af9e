#!/bin/sh
# The checks and tests that CI runs, cheapest first, as targets of the Makefile. A check that fails
# does not stop the others; the table at the end tells each one's verdict and time.
#
#   sh tools/run_checks.sh [TARGET...]     (default: CI's; `nightly tsan aarch64-all tidy` are the
#                                          long ones)
set -u
cd "$(dirname "$0")/.."

if [ $# = 0 ]; then
  set -- format-check unit real deb-check asan aarch64 tsan-threads fuzz
fi

table=""
failures=0
for target in "$@"; do
  printf '\n== make %s (%s)\n' "$target" "$(date +%H:%M:%S)"
  start=$(date +%s)
  if make --no-print-directory "$target"; then
    verdict=passed
  else
    verdict=FAILED
    failures=$((failures + 1))
  fi
  line=$(printf '%-14s %-7s %6d s' "$target" "$verdict" $(($(date +%s) - start)))
  printf '== %s\n' "$line"
  table="$table$line
"
done
printf '\n%s' "$table"
if [ "$failures" != 0 ]; then
  printf '%d of %d failed\n' "$failures" "$#"
  exit 1
fi
printf 'all passed\n'
