#!/usr/bin/env bash
# Trains a model on a machine with a GPU that is lent for minutes at a time and reaches no network.
#
#   here:   scripts/train_on_gpu.sh pack NAME DATA... [option of `models train`]...   fills carry/
#   there:  scripts/train_on_gpu.sh run NAME MINUTES OUT [option of `models train`]...
#   here:   sentinode models export NAME --weights OUT
#
# carry/ is not in git; it and the working tree are copied to the other machine. `run` ends after
# MINUTES whatever the budget, goes on from runs/NAME where that is still there, and leaves in OUT the
# weights as they are then (files of 15 MiB at most) with log and configuration.
set -euo pipefail
cd "$(dirname "$0")/.."

limit_mib="${CARRY_LIMIT_MIB:-64}"

pack() {
  local name="$1"; shift
  local arguments=()
  while [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; do arguments+=(--data "$1"); shift; done
  .venv/bin/python -m models.training "$name" --prepare "${arguments[@]}" \
    --set data.packs="carry/$name" "$@"
  # What a machine with PyTorch may lack; its Python may be another one, the wheel is for all.
  .venv/bin/pip download -q --no-deps -c scripts/constraints.txt -d carry/wheels monai pydicom
  local mib
  mib="$(du -sm carry | cut -f1)"
  echo "carry/ holds $mib MiB of $limit_mib"
  [ "$mib" -le "$limit_mib" ] || { echo "too much to carry" >&2; return 1; }
}

run() {
  local name="$1" minutes="$2" out="$3"; shift 3
  local python="${PYTHON:-python3}" site="${TMPDIR:-/tmp}/site" configs=()
  if ! "$python" -c "import monai" 2>/dev/null; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" carry/wheels/*.whl
  fi
  [ -f "models/$name/gpu.toml" ] && configs=(--config "models/$name/gpu.toml")
  PYTHONPATH="$PWD:$site" "$python" -m models.training "$name" --out "runs/$name" --resume \
    "${configs[@]}" --set data.packs="carry/$name" --set fit.pause_minutes="$minutes" "$@"
  mkdir -p "$out"
  cp "runs/$name"/weights.*.pt "runs/$name/log.jsonl" "runs/$name/config.json" "$out"
}

case "${1:-}" in
  pack|run) "$@" ;;
  *) sed -n '2,11p' "$0" >&2; exit 2 ;;
esac
