#!/usr/bin/env bash
# Runs the self-test's tiny cases under Oclgrind, an OpenCL device that reports data races between work-items, reads of
# uninitialised memory and accesses out of bounds. Fails on any report, and if a kernel gives a wrong number.
# Usage: oclgrind.sh path/to/kiln [selftest options]
set -euo pipefail
kiln=$1
shift
driver=$(dpkg-query -L liboclgrind-21.10 oclgrind 2>/dev/null | grep 'liboclgrind-rt-icd\.so$' || true)
[ -n "$driver" ] || driver=$(find / -name liboclgrind-rt-icd.so -print -quit 2>/dev/null || true)
[ -n "$driver" ] || {
  echo "oclgrind.sh: Oclgrind's driver is not installed (Debian: oclgrind)" >&2
  exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/vendors" "$work/cache"
echo "$driver" >"$work/vendors/oclgrind.icd"
export OCL_ICD_VENDORS="$work/vendors" XDG_CACHE_HOME="$work/cache" OCLGRIND_LOG="$work/log"
export OCLGRIND_DATA_RACES=1 OCLGRIND_UNINITIALIZED=1 OCLGRIND_CHECK_API=1 OCLGRIND_MAX_ERRORS=200
# The optimizer of its compiler emits an instruction (freeze) that its check of uninitialised reads does not know.
export OCLGRIND_BUILD_OPTIONS=-cl-opt-disable

"$kiln" devices | grep -i oclgrind || {
  echo "oclgrind.sh: the simulator is not among the devices" >&2
  exit 1
}
status=0
# Both styles of kernels: the simulator is a device like any other, and the switch forces each.
for style in gpu cpu; do
  echo "== oclgrind, $style variants"
  : >"$work/log"
  KILN_OPENCL_STYLE=$style "$kiln" selftest --tiny --device opencl:0 "$@" || status=1
  if [ -s "$work/log" ]; then
    echo "oclgrind reports ($style variants):" >&2
    head -100 "$work/log" >&2
    status=1
  else
    echo "oclgrind: no race, no uninitialised read, no access out of bounds ($style variants)"
  fi
done
exit $status
