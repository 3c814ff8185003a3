#!/usr/bin/env bash
# Installs what is missing for `make demo` (argument: demo) or `make test` (argument: test).
# What is in place already costs less than a second.
set -euo pipefail
cd "$(dirname "$0")/.."

profile="${1:-demo}"
scripts/system-packages.sh "$profile"
scripts/python-packages.sh "$profile"
scripts/viewer.sh || echo "bootstrap: no viewer, everything else works; see the lines above" >&2
