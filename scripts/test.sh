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
# These share nothing; servers have ports and folders of their own.
"$bin/pytest" --quiet --numprocesses 2 --dist loadfile tests/unit tests/conformance
beside=(tests/faults/test_{recovery,bad_input,real_files,delivery}.py)
"$bin/pytest" --durations=30 --numprocesses 2 --dist loadfile "${beside[@]}" \
  tests/integration tests/browser --ignore tests/integration/test_access.py
# What times attackers, fills disks and kills between two system calls has the machine to itself.
"$bin/pytest" --durations=10 tests/integration/test_access.py tests/faults \
  "${beside[@]/#/--ignore=}"
