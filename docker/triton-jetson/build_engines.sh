#!/bin/sh
# Builds a TensorRT engine of each model on this device, in half precision, with trtexec:
#
#   docker compose run --rm --no-deps --entrypoint /opt/sentinode/build_engines.sh triton-jetson
#
# Engines are bound to the device's compute capability and TensorRT version, so they are built here
# and never shipped; the container finds them at its next start. Needs TensorRT 8.5 (JetPack 5):
# earlier versions take no UINT8 input, there ONNX Runtime runs the models. Mask R-CNN stays in
# single precision: half loses whole pixels in box decoding, and its index arithmetic fails above
# 2048. Arguments: names of models; without any, all.
set -eu

models="${MODELS:-/models}"
engines="${ENGINES:-/var/cache/sentinode/engines}"
trtexec="${TRTEXEC:-/usr/src/tensorrt/bin/trtexec}"
workspace_mib="${WORKSPACE_MIB:-512}"

# What ends trtexec after building has one name up to 8.5 and another from 10 on.
if "$trtexec" --help 2>&1 | grep -q -e --skipInference; then only=--skipInference; else only=--buildOnly; fi

mkdir -p "$engines"
[ $# -gt 0 ] || set -- $(ls "$models")
for name in "$@"; do
  config="$models/$name/config.pbtxt"
  [ -f "$config" ] || { echo "no model $name in $models" >&2; exit 1; }
  most="$(sed -n 's/^max_batch_size: //p' "$config")"
  # input [ { name: "image" data_type: TYPE_FP32 dims: [ 3, 1024, 1024 ] } ]  ->  image 3x1024x1024
  inputs="$(sed -n 's/^input \[ { name: "\([^"]*\)".* dims: \[ \(.*\) \] } \]$/\1 \2/p' "$config" |
    sed 's/, /x/g')"
  # All inputs with a batch of $1, as trtexec wants them.
  shapes() { echo "$inputs" | awk -v batch="$1" '{ printf "%s%s:%sx%s", (NR > 1 ? "," : ""), $1, batch, $2 }'; }
  case "$name" in mask_rcnn*) precision= ;; *) precision=--fp16 ;; esac
  echo "building $name: $(shapes 1) to $(shapes "$most")"
  "$trtexec" --onnx="$models/$name/1/model.onnx" --saveEngine="$engines/$name.plan.new" $precision \
    --minShapes="$(shapes 1)" --optShapes="$(shapes 1)" --maxShapes="$(shapes "$most")" \
    --memPoolSize="workspace:$workspace_mib" "$only"
  mv "$engines/$name.plan.new" "$engines/$name.plan"
done
