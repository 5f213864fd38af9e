#!/bin/sh
# Usage: recipe_smoke.sh RECKON FOLDER HASHFILE. Runs the recipe's smallest scale: killed, gone on
# with, and again with a file of it damaged.
set -eu
reckon=$1 folder=$2 expected=$(cat "$3")
rm -rf "$folder"
# Killed on its way, it goes on from what is done.
"$reckon" recipe --smoke --out "$folder" > "$folder.killed" 2>&1 &
until grep -q '"cold_start"\|"large.init.gguf"' "$folder/recipe.lock.json" 2> /dev/null; do
  kill -0 $!
  sleep 0.1
done
kill -9 $!
wait $! || true
"$reckon" recipe --smoke --out "$folder" > "$folder.first" 2> "$folder.err" ||
  { cat "$folder.first" "$folder.err"; exit 1; }
found=$(sed -n 's/.*recipe.lock.json: //p' "$folder.first")
[ "$found" = "$expected" ] || { echo "expected $expected, found $found"; exit 1; }
grep -q '^tokenizer: done before' "$folder.first"
grep -q '^tables \.\.\.' "$folder.first"
# A file that was changed is made again, with all after it; what is whole is not.
echo >> "$folder/cold_start.gguf"
"$reckon" recipe --smoke --out "$folder" > "$folder.second" 2> "$folder.err" ||
  { cat "$folder.second" "$folder.err"; exit 1; }
grep -q '^tokenizer: done before' "$folder.second"
grep -q '^cold_start \.\.\.' "$folder.second"
found=$(sed -n 's/.*recipe.lock.json: //p' "$folder.second")
[ "$found" = "$expected" ] || { echo "second: expected $expected, found $found"; exit 1; }
