#!/bin/sh
# Starts Triton on a Jetson: writes the models with the configuration of this device, then serves.
set -eu

repository=/var/cache/sentinode/models
python3 /opt/sentinode/prepare.py --models /models --out "$repository" \
  --config "$SENTINODE_TRITON_CONFIG" --precision "$SENTINODE_TRITON_PRECISION"

set -- --model-repository="$repository" --backend-directory=/opt/tritonserver/backends \
  --model-control-mode=explicit --load-model='*' --exit-on-error=false --exit-timeout-secs=15
# The Nano's compute capability is below Triton's default minimum.
[ -z "${SENTINODE_TRITON_CAPABILITY:-}" ] ||
  set -- "$@" --min-supported-compute-capability="$SENTINODE_TRITON_CAPABILITY"
exec tritonserver "$@"
