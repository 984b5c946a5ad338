#!/usr/bin/env bash
# Measure this machine's GPU in at most eight minutes, and write bench-gpu.json:
#     bash benchmarks/gpu.sh [options of `python -m benchmarks gpu`]
# PYTHON names the interpreter, SECONDS_AT_MOST the time after which nothing new begins (450), OUT the file.
set -euo pipefail
out="${OUT:-$PWD/bench-gpu.json}"
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
exec timeout 480 "${PYTHON:-python}" -m benchmarks gpu --seconds "${SECONDS_AT_MOST:-450}" --out "$out" "$@"
