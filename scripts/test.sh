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
if [ $# -gt 0 ]; then
  exec "$bin/pytest" "$@"
fi
# Unit tests share nothing; the others time things and own servers.
"$bin/pytest" --quiet --numprocesses 2 --dist loadfile tests/unit
"$bin/pytest" --durations=30 --ignore tests/unit tests
