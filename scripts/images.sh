#!/usr/bin/env bash
# Builds the images; what a build needs from the network are packages by hash, and the viewer.
#
#   TAG=1.2.3 scripts/images.sh [node|web|worker|triton]...
#
# REGISTRY=registry.example/pacs puts that before each name, and PUSH=1 sends them there.
# PLATFORM=linux/arm64 builds for that architecture (on another one: emulated, with qemu-user-static);
# PYTHON_IMAGE names another base, e.g. one by digest.
set -euo pipefail
cd "$(dirname "$0")/.."

export DOCKER_BUILDKIT=1
tag="${TAG:-latest}"
[ $# -gt 0 ] || set -- node web worker triton

build() {
  local image="${REGISTRY:+${REGISTRY%/}/}sentinode/$1:$tag"; shift
  docker build --quiet ${PLATFORM:+--platform "$PLATFORM"} \
    ${PYTHON_IMAGE:+--build-arg PYTHON_IMAGE="$PYTHON_IMAGE"} --tag "$image" "$@" . >/dev/null
  echo "$image $(docker image inspect --format '{{.Size}}' "$image" | numfmt --to=si)B"
  [ -z "${PUSH:-}" ] || docker push --quiet "$image"
}

for name in "$@"; do
  case "$name" in
    node|web) build "$name" --file docker/node/Dockerfile --target "$name" ;;
    *) build "$name" --file "docker/$name/Dockerfile" ;;
  esac
done
