#!/usr/bin/env bash
# Everything that CI runs, cheapest first. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
# By path: with .venv/bin in PATH, tests would get pynetdicom's storescu for DCMTK's.
bin=.venv/bin

set -x
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
"$bin/lint-imports"
"$bin/pytest" --durations=30 "$@"
