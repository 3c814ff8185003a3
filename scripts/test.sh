#!/usr/bin/env bash
# Everything that CI runs, cheapest first. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

set -x
ruff check .
ruff format --check .
mypy
lint-imports
pytest --durations=30 "$@"
