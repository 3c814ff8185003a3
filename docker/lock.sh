#!/usr/bin/env bash
# Writes docker/locks/*.txt: every Python package of the images, by version and hash, for x86-64 and
# arm64. The versions are those of scripts/constraints.txt, with which the tests run. Run it after a
# change of pyproject.toml, of the constraints or of docker/locks/*.in: `make image-locks`.
set -euo pipefail
cd "$(dirname "$0")/.."

uv="${UV:-.venv/bin/uv}"
[ -x "$uv" ] || .venv/bin/pip install --quiet "uv>=0.8"

lock() {
  local name="$1"; shift
  "$uv" pip compile --quiet --no-config --generate-hashes --python-version 3.11 --python-platform linux \
    --constraint scripts/constraints.txt --custom-compile-command "make image-locks" \
    --no-annotate --output-file "docker/locks/$name.txt" "$@"
}

lock node pyproject.toml
lock worker --extra worker pyproject.toml
lock triton docker/locks/triton.in
lock build docker/locks/build.in
lock viewer docker/locks/viewer.in
