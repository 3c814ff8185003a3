#!/usr/bin/env bash
# Everything that CI runs, cheapest first. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
# By path: with .venv/bin in PATH, tests would get pynetdicom's storescu for DCMTK's.
bin=.venv/bin
# Hundreds of processes start: where this is set, each compiles all that it imports anew.
unset PYTHONDONTWRITEBYTECODE

set -x
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
"$bin/lint-imports"
if [ $# -gt 0 ]; then
  exec "$bin/pytest" "$@"
fi
# These share nothing; servers have ports and folders of their own.
"$bin/pytest" --quiet --numprocesses 2 --dist loadfile tests/unit tests/conformance
# Three, for most of these wait for servers now and then.
alone=(tests/integration/test_access.py tests/faults/test_attacks.py)
"$bin/pytest" --durations=30 --numprocesses 3 --dist loadfile "${alone[@]/#/--ignore=}" \
  tests/integration tests/browser tests/faults
# What times attackers has the machine to itself.
"$bin/pytest" --durations=10 "${alone[@]}"
