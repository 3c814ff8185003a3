#!/usr/bin/env bash
# Prints the Python that the stack runs on, or nothing where there is none: 3.11 or 3.12, since the
# stub inside Triton's wheel wants numpy 1, and able to make virtual environments.
# PYTHON=... names one. Next come the distribution's, which are built with profile-guided
# optimisation as those of the images are: from one built with plain `configure && make` the
# receiver takes a tenth more processor for each object.
set -euo pipefail

suits() {
  "$1" -c '
import ensurepip, sys, venv
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

for candidate in "${PYTHON:-}" /usr/bin/python3.1{1,2} python3 python3.11 python3.12; do
  if [ -n "$candidate" ] && suits "$candidate"; then
    command -v "$candidate"
    exit 0
  fi
done
