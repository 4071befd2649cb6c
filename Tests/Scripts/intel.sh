#!/usr/bin/env bash
# Runs the self-test and then the given test command with Intel's OpenCL runtime for CPUs as the only OpenCL device.
# The runtime comes from PyPI into a virtual environment (about 1 GB, kept in .build/intel).
# Usage: intel.sh path/to/kiln TEST-COMMAND...
set -euo pipefail
kiln=$1
shift
[ "$(uname -m)" = x86_64 ] || {
  echo "intel.sh: Intel's runtime exists for x86-64 only" >&2
  exit 1
}
home=$PWD/.build/intel
if ! [ -e "$home/lib/libintelocl.so" ]; then
  python3 -c 'import ensurepip' 2>/dev/null || "$(dirname "$0")/setup.sh" python3 python3-venv
  python3 -m venv "$home"
  "$home/bin/pip" install --quiet --disable-pip-version-check intel-opencl-rt intel-cmplr-lib-rt tbb
fi
mkdir -p "$home/vendors"
echo "$home/lib/libintelocl.so" >"$home/vendors/intel.icd"
export OCL_ICD_VENDORS="$home/vendors"

"$kiln" devices | grep -i intel | grep -i opencl || {
  echo "intel.sh: Intel's runtime is not among the devices" >&2
  exit 1
}
"$kiln" selftest --device opencl:0
"$@"
