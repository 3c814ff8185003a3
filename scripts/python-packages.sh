#!/usr/bin/env bash
# Makes .venv and installs Sentinode into it, again whenever pyproject.toml has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

case "$1" in
  demo) extras="worker,embedded,data" ;;
  test) extras="worker,embedded,data,train,dev" ;;
  *) echo "usage: $0 demo|test" >&2; exit 2 ;;
esac

python="$(scripts/python.sh)"
[ -n "$python" ] || { echo "bootstrap: no Python 3.11 or 3.12 with venv; name one in PYTHON=" >&2; exit 1; }
# The checkout's path is part of it: the editable install and the scripts in bin point there.
stamp="$(cat pyproject.toml scripts/constraints.txt scripts/python-packages.sh | sha256sum | cut -d' ' -f1) $PWD"
current() { [ "$(cat ".venv/.installed-$1" 2>/dev/null)" = "$stamp" ]; }

# What the tests need includes what the demo needs.
if current "$1" || current test; then exit 0; fi

# A checkout that has been moved has scripts that point to where it was.
if [ "$(cat .venv/.path 2>/dev/null || echo "$PWD")" != "$PWD" ] ||
  ! .venv/bin/python -c '' 2>/dev/null; then
  rm -rf .venv
  "$python" -m venv .venv
  echo "$PWD" > .venv/.path
fi
install() {
  .venv/bin/pip install -c scripts/constraints.txt "$@" | { grep -v '^Requirement already' || true; }
}
echo "bootstrap: installing Python packages ($extras)"
if [ "$1" = test ]; then
  # First, so that nothing after it chooses a build with gigabytes of CUDA libraries.
  install "torch==2.13.0+cpu" || {
    echo "bootstrap: pip finds no CPU build of torch; taking what it finds" >&2
    install "torch==2.13.0"
  }
fi
install -e ".[$extras]"
echo "$stamp" > ".venv/.installed-$1"
