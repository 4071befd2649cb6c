#!/usr/bin/env bash
# Lists the devices, trains the digits classifier on the CPU and on the first OpenCL device, and compares.
# Usage: demo.sh path/to/kiln
set -euo pipefail
kiln=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo
"$kiln" devices
for device in cpu opencl:0; do
  printf '\n== kiln train digits --device %s\n' "$device"
  "$kiln" train digits --device "$device" --json "$work/$device.json" --output "$work/$device"
done

# The value of a key in one flat JSON object, lists without their brackets.
value() {
  tr -d '\n' <"$work/$1.json" | sed -E 's/.*"'"$2"'" *: *(\[[^]]*\]|"[^"]*"|[^,}]*).*/\1/' | tr -d '[]" '
}

printf '\n%-10s %14s %14s\n' device 'test accuracy' 'seconds'
for device in cpu opencl:0; do
  printf '%-10s %14.4f %14.2f\n' "$device" "$(value $device test_accuracy)" "$(value $device train_seconds)"
done
paste -d ' ' <(value cpu epoch_losses | tr ',' '\n') <(value opencl:0 epoch_losses | tr ',' '\n') | awk '
  NF != 2 { print "demo: the two loss curves differ in length" > "/dev/stderr"; bad = 1; exit 1 }
  { difference = $1 > $2 ? $1 - $2 : $2 - $1; if (difference > largest) largest = difference }
  END { if (!bad) printf "largest difference of the two loss curves: %.3g (over %d epochs)\n", largest, NR }'

for device in cpu opencl:0; do
  awk -v accuracy="$(value $device test_accuracy)" -v device="$device" 'BEGIN {
    if (accuracy < 0.95) { print "demo: " device " reached only " accuracy ", expected 0.95" > "/dev/stderr"; exit 1 } }'
done
