#!/bin/sh
# Starts Triton on a Jetson: writes the models with the configuration of this device, then serves.
set -eu

repository="${REPOSITORY:-/var/cache/sentinode/models}"
python3 "$(dirname "$0")/prepare.py" --models "${MODELS:-/models}" --out "$repository" \
  --config "$SENTINODE_TRITON_CONFIG" --precision "$SENTINODE_TRITON_PRECISION"

set -- --model-repository="$repository" --backend-directory=/opt/tritonserver/backends \
  --model-control-mode=explicit --exit-on-error=false --exit-timeout-secs=15
# One by one: the server of JetPack 4.6, 2.19, takes `*` for the name of a model.
for model in "$repository"/*; do
  set -- "$@" --load-model="${model##*/}"
done
# The Nano's compute capability is below Triton's default minimum.
[ -z "${SENTINODE_TRITON_CAPABILITY:-}" ] ||
  set -- "$@" --min-supported-compute-capability="$SENTINODE_TRITON_CAPABILITY"
exec tritonserver "$@"
