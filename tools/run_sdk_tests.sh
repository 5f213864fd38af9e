#!/bin/sh
# Unchanged clients against the server: Python's and JavaScript's openai, anthropic and ollama,
# LangChain, and schemathesis on the published OpenAPI document. Fetched into FOLDER when missing.
# MODEL: the one that is part of the program, unless a name or a file is given.
#
#   sh tools/run_sdk_tests.sh RECKON FOLDER [MODEL]
set -eu
cd "$(dirname "$0")/.."
reckon=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
model=${3:-reckon-small}

if [ ! -e "$folder/python.done" ]; then
  python3 -m pip install --quiet --root-user-action ignore --target "$folder/python" --upgrade \
    openai anthropic ollama langchain-openai langchain-ollama schemathesis
  touch "$folder/python.done"
fi
if [ ! -e "$folder/node_modules/openai" ]; then
  (cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts \
    openai ollama @anthropic-ai/sdk)
fi

PYTHONPATH=$folder/python python3 tests/server/sdk/sdk_test.py "$reckon" "$model"

RECKON_MODELS=$folder/models "$reckon" serve -m "$model" --port 0 --ctx 2048 \
  >"$folder/serve.out" 2>"$folder/serve.log" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
url=""
for _ in 1 2 3 4 5 6 7 8 9 10; do
  url=$(sed -n 's/.*\(http:[^ ]*\).*/\1/p' "$folder/serve.out")
  [ -z "$url" ] || break
  sleep 1
done
name=$(basename "$model" .gguf)
script=$PWD/tests/server/sdk/sdk_test.mjs
(cd "$folder" && node "$script" "$url" "$name")
python3 tests/server/sdk/narrow_openapi.py "$url/openapi.json" >"$folder/openapi.json"
# In the folder: it leaves a cache where it runs.
(cd "$folder" && PYTHONPATH=$folder/python python3 -m schemathesis.cli run openapi.json \
  --url "$url" \
  --checks not_a_server_error --max-examples 20 --phases examples,fuzzing \
  --suppress-health-check too_slow --exclude-path /api/pull)
