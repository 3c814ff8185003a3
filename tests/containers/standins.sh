#!/usr/bin/env bash
# Makes stand-ins for the images of others under their production names, from Debian packages and
# the wheel nvidia-pytriton, for machines that reach no image registry. They test our wiring, not
# those images. Needs tests/containers/base.sh before it.
set -euo pipefail
cd "$(dirname "$0")"

export DOCKER_BUILDKIT=1
name_of() { sed -n "s/^ *image: *\${$1:-\(.*\)}$/\1/p" ../../docker-compose.yml | head -1; }
build() { docker build --quiet --file "standins/$1.Dockerfile" --tag "$2" standins >/dev/null && echo "$2"; }

cp ../../scripts/constraints.txt standins/constraints.txt
trap 'rm -f standins/constraints.txt' EXIT
build postgresql "$(name_of POSTGRESQL_IMAGE)"
build redis "$(name_of REDIS_IMAGE)"
build orthanc "$(name_of ORTHANC_IMAGE)"
build triton "$(sed -n 's/^ARG TRITON_IMAGE=//p' ../../docker/triton/Dockerfile)"
