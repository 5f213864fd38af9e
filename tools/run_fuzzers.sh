#!/bin/sh
# Runs every fuzzer of a fuzz build for some seconds, each from its committed corpus, a few at a
# time. What they find new goes to BUILD/found/<fuzzer>, what crashes them to BUILD/crash/.
#
#   sh tools/run_fuzzers.sh BUILD SECONDS JOBS
set -eu
cd "$(dirname "$0")/.."
build=$1
mkdir -p "$build/crash"
ls "$build"/fuzz/*_fuzz >/dev/null

# One fuzzer: stops at the first finding, at 2 GiB, or at an input that takes 10 s.
export build seconds="$2"
# shellcheck disable=SC2016
find "$build/fuzz" -maxdepth 1 -type f -executable -name '*_fuzz' | sort |
  xargs -P "$3" -I{} sh -c '
    name=$(basename {})
    found=$build/found/$name
    mkdir -p "$found" "fuzz/corpus/$name"
    if {} -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/crash/$name-" "$found" "fuzz/corpus/$name" \
        >"$build/$name.log" 2>&1; then
      runs=$(sed -n "s/^stat::number_of_executed_units: *//p" "$build/$name.log")
      cover=$(sed -n "s/.*cov: \([0-9]*\) .*/\1/p" "$build/$name.log" | tail -n 1)
      echo "$name: $runs runs, $cover edges, nothing found"
    else
      tail -n 40 "$build/$name.log"
      echo "$name: FOUND something, see $build/$name.log and $build/crash"
      exit 1
    fi'
