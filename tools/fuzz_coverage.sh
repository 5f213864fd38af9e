#!/bin/sh
# Counts the lines of each parser that the fuzzers' committed corpora reach (docs/reliability.md,
# A3), with g++'s gcov. Fails if one is under 85 %.
#
#   sh tools/fuzz_coverage.sh [BUILD]      (default: build/coverage)
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/coverage}
parsers="gguf/gguf_parser gguf/gguf_file gguf/safetensors gguf/safetensors_header
  tokenizer/tokenizer_gguf tokenizer/tokenizer_json tokenizer/chat_template_jinja
  tokenizer/chat_template_custom model/convert_config sampling/grammar sampling/grammar_text
  sampling/json_schema sampling/json_schema_merge sampling/json_pattern sampling/json_numbers
  reasoning/tool_calls store/hub store/record store/reference store/url server/fields
  server/http"

fuzzers=""
for source in fuzz/*_fuzz.cpp; do fuzzers="$fuzzers $(basename "$source" .cpp)"; done
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS=--coverage \
  -DRECKON_CLI=OFF >"$build.log"
# shellcheck disable=SC2046,SC2086
ninja -C "$build" $(printf 'replay_%s ' $fuzzers) >>"$build.log"
find "$build" -name '*.gcda' -delete
for fuzzer in $fuzzers; do
  printf '%s: ' "$fuzzer"
  "$build/tests/reliability/replay_$fuzzer" "fuzz/corpus/$fuzzer" | tail -n 1
done

verdict=0
for parser in $parsers; do
  folder=$build/CMakeFiles/reckon_${parser%%/*}.dir/src
  # gcov prints a file's name and then "Lines executed:N% of M"; the first is the source itself.
  reached=$(gcov --no-output --object-directory "$folder/$parser.cpp.gcda" "src/$parser.cpp" \
    2>/dev/null | grep -A 1 "src/$parser.cpp'" | sed -n 's/Lines executed://p')
  printf '%-34s %s\n' "$parser.cpp" "${reached:-not reached}"
  percent=${reached%%.*}
  [ "${percent:-0}" -ge 85 ] || verdict=1
done
exit $verdict
