#!/usr/bin/env bash
# Installs the system packages that Kiln needs, and says clearly what it cannot do. `setup.sh PACKAGE...` adds more.
set -euo pipefail

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

if ! command -v swift >/dev/null; then
  fail "Swift is not installed (or not in PATH). Kiln needs Swift 6.3 or later for Linux:" \
    "  https://www.swift.org/install/linux/" "Then run 'make setup' again."
fi
version=$(swift --version 2>/dev/null | sed -nE 's/.*Swift version ([0-9]+)\.([0-9]+).*/\1 \2/p' | head -1)
read -r major minor <<<"${version:-0 0}"
if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 3 ]; }; then
  fail "this is Swift $major.$minor; Kiln needs 6.3 or later: https://www.swift.org/install/linux/"
fi

if [ $# -gt 0 ]; then
  packages=("$@")
else
  packages=(ocl-icd-libopencl1 ocl-icd-opencl-dev opencl-headers pocl-opencl-icd
    libopenblas0-pthread libopenblas-dev zlib1g-dev libpng-dev libjpeg-dev curl clang-format git)
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  cat >&2 <<EOF
setup: this system has no apt. Install what these Debian packages hold with your own package manager:
setup:   ${packages[*]}
setup: that is: the OpenCL headers and loader, an OpenCL driver (PoCL, or your GPU vendor's), OpenBLAS, headers of zlib, libpng and libjpeg-turbo, curl.
EOF
  for header in CL/cl.h zlib.h png.h jpeglib.h; do
    [ -e "/usr/include/$header" ] || fail "/usr/include/$header is missing"
  done
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all of ${#packages[@]} packages are installed"
  exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
  as_root=()
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
  as_root=(sudo)
else
  fail "these packages are missing, and installing them needs root:" "  ${missing[*]}" "Ask an administrator to run:" \
    "  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
fi

echo "setup: installing ${missing[*]}"
log=$(mktemp)
if ! { "${as_root[@]}" apt-get update -q &&
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"; } \
  >"$log" 2>&1; then
  tail -20 "$log" >&2
  fail "apt-get could not install ${missing[*]}; its whole log is in $log"
fi
rm -f "$log"
echo "setup: done"
