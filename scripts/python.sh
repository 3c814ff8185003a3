#!/usr/bin/env bash
# Prints the Python that the stack runs on, or nothing where there is none: 3.11 or 3.12, since the
# stub inside Triton's wheel wants numpy 1, and able to make virtual environments.
# PYTHON=... names one. Next come the distribution's, where they are complete: they are built with
# profile-guided optimisation, as those of the images are. From one built with plain
# `configure && make` the receiver takes a tenth more processor for each object.
# With the argument `library` it only says whether a Python (second argument) has its shared
# library, which Triton's Python backend loads and Debian packs apart from the program.
set -euo pipefail

suits() {
  "$1" -c '
import ensurepip, sys, venv
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

has_library() {
  "$1" -c '
import ctypes, os, sys, sysconfig
name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
inside = os.path.join(sysconfig.get_config_var("LIBDIR") or "", name)
ctypes.CDLL(inside if os.path.exists(inside) else name)' 2>/dev/null
}

if [ "${1:-}" = library ]; then
  has_library "$2"
  exit
fi
for candidate in "${PYTHON:-}" /usr/bin/python3.1{1,2} python3 python3.11 python3.12; do
  [ -n "$candidate" ] && suits "$candidate" || continue
  case "$candidate" in
    "${PYTHON:-}") ;;
    /usr/bin/*) has_library "$candidate" || continue ;;
  esac
  command -v "$candidate"
  exit 0
done
