#!/usr/bin/env bash
# Prints the Python that the stack runs on, or nothing where there is none: 3.11 or 3.12, since the
# stub inside Triton's wheel wants numpy 1, and able to make virtual environments.
# PYTHON=... names one.
set -euo pipefail

for candidate in "${PYTHON:-}" python3 python3.11 python3.12; do
  if [ -n "$candidate" ] && "$candidate" -c '
import ensurepip, sys, venv
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
    command -v "$candidate"
    exit 0
  fi
done
