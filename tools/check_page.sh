#!/bin/sh
# Builds the page anew from its lock file, into a folder of its own, and compares it with web/dist.
# Leaves web/node_modules as the lock file has it.
set -eu
cd "$(dirname "$0")/../web"
npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error
mkdir -p ../build
npm run --silent build -- --outDir ../build/page --emptyOutDir >../build/page.log 2>&1 ||
  { cat ../build/page.log; exit 1; }
diff -r ../build/page dist
echo "web/dist is what its sources give: $(find dist -type f | wc -l) files"
