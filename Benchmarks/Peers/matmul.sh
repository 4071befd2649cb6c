#!/usr/bin/env bash
# Runs matmul_torch.py with a PyTorch of its own (CPU build, kept in .build/peers).
# Usage: matmul.sh path/to/kiln-bench [options]
set -euo pipefail
home=$PWD/.build/peers
if ! "$home/bin/python" -c 'import torch' 2>/dev/null; then
  python3 -c 'import ensurepip' 2>/dev/null || Tests/Scripts/setup.sh python3 python3-venv
  python3 -m venv "$home"
  "$home/bin/pip" install --quiet --disable-pip-version-check numpy
  "$home/bin/pip" install --quiet --disable-pip-version-check torch --index-url https://download.pytorch.org/whl/cpu ||
    "$home/bin/pip" install --quiet --disable-pip-version-check torch
fi
exec "$home/bin/python" "$(dirname "$0")/matmul_torch.py" "$@"
