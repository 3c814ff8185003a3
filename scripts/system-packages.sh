#!/usr/bin/env bash
# Installs missing Debian or Ubuntu packages where it may; else prints the line to run.
set -euo pipefail
cd "$(dirname "$0")/.."

profile="$1"
missing=()
optional=() # tests that need them are skipped where the distribution has no such package

has() { PATH="$PATH:/usr/sbin:/sbin:/usr/local/sbin" command -v "$1" >/dev/null; }
need() { has "$1" || missing+=("$2"); }

need Orthanc orthanc
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] ||
  [ -e /usr/local/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing+=(orthanc-dicomweb)

python="$(scripts/python.sh)"
if [ -z "$python" ]; then
  for candidate in python3 python3.11 python3.12; do
    offered="$(apt-cache policy "$candidate" 2>/dev/null | sed -n 's/ *Candidate: //p')"
    case "$offered" in 3.11* | 3.12*) python="$candidate" && break ;; esac
  done
  missing+=("${python:=python3.11}" "$python-venv")
fi
# Triton's Python backend loads the shared library, which Debian packs apart from the interpreter.
version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)"
"$python" - <<'PYTHON' 2>/dev/null || missing+=("libpython${version:-3}${version:+}")
import ctypes, os, sys, sysconfig
name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
inside = os.path.join(sysconfig.get_config_var("LIBDIR") or "", name)
ctypes.CDLL(inside if os.path.exists(inside) else name)
PYTHON

if [ "$profile" = test ]; then
  need dcmsend dcmtk
  need dciodvfy dicom3tools
  need redis-server redis-server
  has chromium || optional+=(chromium)
  has chromedriver || optional+=(chromium-driver)
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
fi

if has apt-get; then
  for package in "${optional[@]}"; do
    if apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]'; then
      missing+=("$package")
    fi
  done
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if ! has apt-get; then
  echo "bootstrap: install these yourself (their Debian names): ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo)
  if ! sudo -n true 2>/dev/null; then
    echo "bootstrap: system packages are missing. Run this line, then try again:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
fi
echo "bootstrap: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"
