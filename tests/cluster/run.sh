#!/usr/bin/env bash
# `make chart-cluster`: the chart on a real Kubernetes node made for the occasion. Needs root and a
# Docker daemon that has the images (docker compose build). Everything it starts ends with it.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "$(id -u)" -ne 0 ]; then
  echo "chart-cluster: a kubelet needs root; run it as root" >&2
  exit 1
fi
tests/cluster/build.sh
# Network, mounts and processes of its own: what is left behind is one folder, removed below.
folder="$(mktemp -d "${TMPDIR:-/tmp}/sentinode-cluster.XXXXXX")"
trap 'rm -rf "$folder"' EXIT
unshare --net --mount --pid --fork --mount-proc --kill-child \
  .venv/bin/python -m tests.cluster.run "$folder" "$@"
