#!/usr/bin/env bash
# Runs a script of this folder with the Python packages it compares with (kept in .build/peers).
# Usage: peers.sh "package..." script.py arguments...
set -euo pipefail
home=$PWD/.build/peers
packages=$1
script=$2
shift 2
if ! [ -x "$home/bin/python" ]; then
  python3 -c 'import ensurepip' 2>/dev/null || Tests/Scripts/setup.sh python3 python3-venv
  python3 -m venv "$home"
fi
for package in numpy $packages; do
  "$home/bin/python" -c "import $package" 2>/dev/null && continue
  pip=("$home/bin/pip" install --quiet --disable-pip-version-check "$package")
  # PyTorch's own index has the build for CPUs, which is a tenth of the size.
  [ "$package" = torch ] && "${pip[@]}" --index-url https://download.pytorch.org/whl/cpu 2>/dev/null || "${pip[@]}"
done
exec "$home/bin/python" "$(dirname "$0")/$script" "$@"
