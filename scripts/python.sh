#!/usr/bin/env bash
# Prints the Python that the stack runs on: 3.11 to 3.13, for which Triton's wheel has a stub, and
# able to make virtual environments. PYTHON=... names one. Prints nothing where there is none.
set -euo pipefail

for candidate in "${PYTHON:-}" python3 python3.11 python3.12 python3.13; do
  if [ -n "$candidate" ] && "$candidate" -c '
import ensurepip, sys, venv
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
    command -v "$candidate"
    exit 0
  fi
done
