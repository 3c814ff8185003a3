#!/usr/bin/env bash
# Installs missing Debian or Ubuntu packages where it may; else prints the line to run.
set -euo pipefail
cd "$(dirname "$0")/.."

profile="$1"

has() { PATH="$PATH:/usr/sbin:/sbin:/usr/local/sbin" command -v "$1" >/dev/null; }
candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/ *Candidate: \([^(].*\)/\1/p'; }
need() { has "$1" || missing+=("$2"); }
# Tests that need these are skipped where the distribution has no such package.
want() { has "$1" || [ -z "$(candidate "$2")" ] || missing+=("$2"); }

want_file() { [ -e "$1" ] || [ -z "$(candidate "$2")" ] || missing+=("$2"); }

need_python() {
  local python version
  python="$(scripts/python.sh)"
  if [ -z "$python" ]; then
    version=3.11
    case "$(candidate python3)" in 3.12*) version=3.12 ;; esac
    missing+=("python$version" "python$version-venv" "libpython$version")
    return
  fi
  version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
  scripts/python.sh library "$python" || missing+=("libpython$version")
}

find_missing() {
  missing=()
  need Orthanc orthanc
  [ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] ||
    [ -e /usr/local/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing+=(orthanc-dicomweb)
  need_python
  [ "$profile" = test ] || return 0
  need dcmsend dcmtk
  need dciodvfy dicom3tools
  need redis-server redis-server
  want java default-jre-headless
  want_file /usr/share/java/pixelmed.jar libpixelmed-java
  want_file /usr/share/java/Saxon-HE.jar libsaxonhe-java
  want_file /usr/share/java/DICOMscope.jar dicomscope
  want bindfs bindfs
  want chromium chromium
  want chromedriver chromium-driver
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
}

find_missing
[ ${#missing[@]} -eq 0 ] && exit 0

if ! has apt-get; then
  echo "bootstrap: install these yourself (their Debian names): ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "bootstrap: system packages are missing. Run this line, then try again:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo DEBIAN_FRONTEND=noninteractive)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
find_missing # a fresh machine knows no candidates before
echo "bootstrap: installing ${missing[*]}"
"${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"
