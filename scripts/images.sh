#!/usr/bin/env bash
# Builds the images; what a build needs from the network are packages by hash, and the viewer.
#
#   TAG=1.2.3 scripts/images.sh [node|web|worker|triton]...
#
# PLATFORM=linux/arm64 builds for that architecture (on another one: emulated, with qemu-user-static);
# PYTHON_IMAGE names another base, e.g. one by digest.
set -euo pipefail
cd "$(dirname "$0")/.."

export DOCKER_BUILDKIT=1
tag="${TAG:-latest}"
[ $# -gt 0 ] || set -- node web worker triton

build() {
  local name="$1"; shift
  docker build --quiet ${PLATFORM:+--platform "$PLATFORM"} \
    ${PYTHON_IMAGE:+--build-arg PYTHON_IMAGE="$PYTHON_IMAGE"} --tag "sentinode/$name:$tag" "$@" . >/dev/null
  echo "sentinode/$name:$tag $(docker image inspect --format '{{.Size}}' "sentinode/$name:$tag" |
    numfmt --to=si)B"
}

for name in "$@"; do
  case "$name" in
    node|web) build "$name" --file docker/node/Dockerfile --target "$name" ;;
    *) build "$name" --file "docker/$name/Dockerfile" ;;
  esac
done
