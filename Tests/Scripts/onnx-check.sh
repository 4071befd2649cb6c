#!/usr/bin/env bash
# Holds what Kiln writes against the tools that it is written for: ONNX files against onnx.checker and onnxruntime, event
# files against TensorBoard's own reader. The tools come from PyPI into a virtual environment (kept in .build/onnx);
# KILN_PYTHON names another Python that has them.
# Usage: onnx-check.sh TEST-COMMAND... (which runs the suites with the filter that is added to it)
set -euo pipefail
home=$PWD/.build/onnx
python=${KILN_PYTHON:-$home/bin/python}
if [ -z "${KILN_PYTHON:-}" ] && ! "$python" -c 'import numpy, onnx, onnxruntime, tensorboard' 2>/dev/null; then
  python3 -c 'import ensurepip' 2>/dev/null || "$(dirname "$0")/setup.sh" python3 python3-venv
  python3 -m venv "$home"
  "$home/bin/pip" install --quiet --disable-pip-version-check numpy onnx onnxruntime tensorboard
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/onnx" "$folder/tensorboard"
KILN_ONNX_FOLDER=$folder/onnx KILN_TENSORBOARD_FOLDER=$folder/tensorboard "$@" --filter 'ONNXFileTests|TensorBoardTests'
check=$(dirname "$0")/onnx-check.py
"$python" "$check" onnx "$folder/onnx"
for expected in "$folder"/tensorboard/*.json; do
  "$python" "$check" tensorboard "${expected%.json}" "$expected"
done
