#!/bin/sh
# Builds the page anew from its lock file, in a folder of its own, and compares it with web/dist.
set -eu
cd "$(dirname "$0")/.."
work=build/page
rm -rf "$work"
mkdir -p "$work"
cp -R web/src web/public web/index.html web/package.json web/package-lock.json web/tsconfig.json \
  web/vite.config.ts "$work"
cd "$work"
npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error
npm run --silent build >build.log 2>&1 || { cat build.log; exit 1; }
diff -r dist ../../web/dist
echo "web/dist is what its sources give: $(find dist -type f | wc -l) files"
