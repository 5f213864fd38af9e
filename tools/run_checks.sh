#!/bin/sh
# The checks and tests that CI runs, cheapest first, as targets of the Makefile. A check that fails
# does not stop the others; the table at the end tells each one's verdict and time.
#
#   sh tools/run_checks.sh [TARGET...]     (default: CI's; `nightly asan tsan aarch64-all tidy` are
#                                          the long ones)
#
# CI's end within an hour on two cores: those that repeat the tests in another build are stopped, or
# not begun, when RECKON_CHECK_MINUTES (42) are over, and the table says so.
set -u
cd "$(dirname "$0")/.."

repeats=""
if [ $# = 0 ]; then
  repeats="asan-inputs fuzz aarch64 tsan-threads"
  set -- format-check unit real deb-check instructions page-check $repeats
fi
end=$(($(date +%s) + ${RECKON_CHECK_MINUTES:-42} * 60))

# The target, within the time that is left if it is one of those; 124 when that is over.
check() {
  case " $repeats " in
    *" $1 "*)
      left=$((end - $(date +%s)))
      [ "$left" -gt 30 ] || return 124
      timeout "$left" make --no-print-directory "$1"
      ;;
    *) make --no-print-directory "$1" ;;
  esac
}

table=""
failures=0
for target in "$@"; do
  printf '\n== make %s (%s)\n' "$target" "$(date +%H:%M:%S)"
  start=$(date +%s)
  check "$target"
  case $? in
    0) verdict=passed ;;
    124) verdict='no time' ;;
    *)
      verdict=FAILED
      failures=$((failures + 1))
      ;;
  esac
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
printf 'none failed\n'
