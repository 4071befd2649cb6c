#!/usr/bin/env bash
# Kills runs of the digits, or of a configuration, with SIGKILL at random moments, resumes them and compares the weights
# with those of a run that was left alone. Does the same with kills in the middle of writing a checkpoint, with the newest
# checkpoint truncated, with a bit of it flipped and with one of its files gone, on a full disk, and with SIGINT.
# Usage: kill-resume.sh path/to/kiln [device] [kills] [epochs] [seed of the moments] [recipe or configuration]
# Beside it, kill-resume.yaml is a configuration with everything that a checkpoint must hold.
set -euo pipefail
# A small disk needs to be mounted: by root, or by one who is root in a namespace of his own.
if [ "$(id -u)" != 0 ] && [ -z "${KILN_UNSHARED:-}" ] && unshare -rm true 2>/dev/null; then
  KILN_UNSHARED=1 exec unshare -rm "$0" "$@"
fi
kiln=$1
device=${2:-cpu}
kills=${3:-20}
epochs=${4:-10}
RANDOM=${5:-1}
work=$(mktemp -d)
trap 'umount "$work/disk" 2>/dev/null || true; rm -rf "$work"' EXIT
base=(train "${6:-digits}" --device "$device" --epochs "$epochs" --seed 7)
arguments=("${base[@]}" --checkpoint-every 20)

fail() {
  echo "kill-resume: $1" >&2
  exit 1
}
weights() { sed -n 's/^Weights: //p' "$1"; }

"$kiln" "${arguments[@]}" --output "$work/whole" >"$work/whole.log"
# Again, with everything warm: how long its training takes.
"$kiln" "${arguments[@]}" --output "$work/again" >"$work/again.log"
duration=$(awk '/^Training time: / { print int($3 * 1000) }' "$work/again.log")
expected=$(weights "$work/whole.log")
[ -n "$expected" ] && [ "$expected" = "$(weights "$work/again.log")" ] || fail "two runs left alone differ"
echo "$device: $expected, $duration ms of training"

# Resumes $1, expects the weights, and puts what was printed into $1.log and $1.err.
resume() {
  if [ ! -f "$1/run.json" ]; then # killed before it began
    "$kiln" "${arguments[@]}" --output "$1" >"$1.log" 2>"$1.err" || fail "$(cat "$1.err")"
  else
    "$kiln" resume "$1" >"$1.log" 2>"$1.err" || fail "resume failed: $(cat "$1.err")"
  fi
  [ "$(weights "$1.log")" = "$expected" ] || fail "$1: weights $(weights "$1.log"), expected $expected"
  if ls -A "$1/checkpoints" | grep -q '^\.tmp-'; then fail "$1: temporary files are left"; fi
}

# Starts $1 by the command that follows and kills it $2 ms after its training has begun, which its log says.
killed() {
  local run=$1 after=$2 begun
  shift 2
  begun=$({ cat "$run/log.jsonl" 2>/dev/null || true; } | wc -l)
  "$kiln" "$@" >"$run.killed" 2>&1 &
  local process=$!
  while kill -0 $process 2>/dev/null && [ "$({ cat "$run/log.jsonl" 2>/dev/null || true; } | wc -l)" = "$begun" ]; do :; done
  sleep "$(awk -v ms="$after" 'BEGIN { print ms / 1000 }')"
  kill -9 $process 2>/dev/null || true
  wait $process 2>/dev/null || true
}

# What a kill in the middle of writing, or removing, a checkpoint leaves behind.
leftover() { { find "$1/checkpoints" -maxdepth 1 -name '.tmp-*' 2>/dev/null || true; } | wc -l; }

within=0
writing=0
for ((i = 1; i <= kills; i++)); do
  run=$work/run-$i
  after=$((RANDOM * duration / 32768))
  killed "$run" $after "${arguments[@]}" --output "$run"
  # Every third is killed once more.
  if ((i % 3 == 0)) && [ -f "$run/run.json" ]; then killed "$run" $((RANDOM * duration / 32768)) resume "$run"; fi
  if [ -d "$run/checkpoints" ] && [ ! -f "$run/result.json" ]; then within=$((within + 1)); fi
  left=$(leftover "$run")
  [ "$left" = 0 ] || writing=$((writing + 1))
  resume "$run"
  echo "kill $i after $after ms: $(sed -n 's/^Resuming //p' "$run.log")$([ "$left" = 0 ] || echo ', in the middle of a checkpoint')"
  rm -rf "$run"
done
echo "$kills kills, $within of them while training, $writing in the middle of a checkpoint: all ended with the same weights"

# Kills as soon as a checkpoint begins to be written, until enough of them left half of one behind.
wanted=$((kills < 5 ? 1 : 5))
caught=0
for ((i = 1; i <= 20 * wanted && caught < wanted; i++)); do
  run=$work/writing-$i
  "$kiln" "${base[@]}" --checkpoint-every 3 --output "$run" >"$run.killed" 2>&1 &
  process=$!
  # Not the first one each time.
  before=$run/checkpoints/step-$(printf %09d $((3 * (RANDOM % 8))))
  while kill -0 $process 2>/dev/null; do
    [ -e "$before" ] || [ "$before" = "$run/checkpoints/step-000000000" ] || continue
    for entry in "$run"/checkpoints/.tmp-*; do [ ! -e "$entry" ] || break 2; done
  done
  kill -9 $process 2>/dev/null || true
  wait $process 2>/dev/null || true
  if [ "$(leftover "$run")" != 0 ]; then
    caught=$((caught + 1))
    resume "$run"
    echo "kill while a checkpoint is written: $(sed -n 's/^Resuming //p' "$run.log")"
  fi
  rm -rf "$run"
done
[ $caught = $wanted ] || fail "only $caught of $wanted kills met a checkpoint that was being written"

newest() { { find "$1/checkpoints" -maxdepth 1 -name 'step-*' 2>/dev/null || true; } | sort | tail -n 1; }
for damage in truncate flip remove; do
  run=$work/$damage
  cp -r "$work/whole" "$run"
  rm "$run/result.json"
  file=$(newest "$run")/model.safetensors
  case $damage in
    truncate) truncate -s -100 "$file" ;;
    flip)
      byte=$(od -An -tu1 -j 1000 -N 1 "$file")
      printf "\\x$(printf %x $((byte ^ 4)))" | dd of="$file" bs=1 seek=1000 conv=notrunc status=none
      ;;
    remove) rm "$file" ;;
  esac
  resume "$run"
  grep -q "$file" "$run.err" || fail "$damage: the damaged file was not named"
  grep -q 'going on from the checkpoint before' "$run.err" || fail "$damage: no checkpoint before was used"
  echo "$damage: $(head -n 1 "$run.err")"
done

# A disk of its own that is filled up, so that a checkpoint's write fails in the middle. Where none can be mounted, a limit
# on the size of files stands for it: on the CPU alone, as it would also hold for what an OpenCL driver writes to compile.
mkdir "$work/disk"
run=$work/full
limited=$work
if mount -t tmpfs -o size=16m kiln-full "$work/disk" 2>/dev/null; then
  run=$work/disk/full
  limited=$work/disk
elif [ "$device" != cpu ]; then
  echo "full disk: left out, no small disk can be mounted here"
  run=
fi
if [ -n "$run" ]; then
  for ((i = 0; i < 20; i++)); do
    "$kiln" "${arguments[@]}" --output "$run" >"$work/full.killed" 2>&1 &
    process=$!
    while kill -0 $process 2>/dev/null; do
      for entry in "$run"/checkpoints/step-*; do [ ! -e "$entry" ] || break 2; done
    done
    kill -9 $process 2>/dev/null || true
    wait $process 2>/dev/null || true
    [ ! -f "$run/run.json" ] || [ -f "$run/result.json" ] || [ -z "$(newest "$run")" ] || break
    rm -rf "$run"
  done
  before=$(newest "$run")
  [ -n "$before" ] || fail "a full disk: no run was killed in its middle"
  status=0
  if [ "$limited" = "$work/disk" ]; then
    # All but 16 KB: room for what is logged, and for a part of a checkpoint. What the kill left would make more.
    rm -rf "$run"/checkpoints/.tmp-*
    free=$(df --output=avail -k "$limited" | tail -n 1)
    dd if=/dev/zero of="$limited/filler" bs=1024 count=$((free - 16)) status=none
    "$kiln" resume "$run" >"$work/full.log" 2>"$work/full.err" || status=$?
  else
    (
      trap '' XFSZ
      ulimit -f 8
      exec "$kiln" resume "$run"
    ) >"$work/full.log" 2>"$work/full.err" || status=$?
  fi
  [ $status = 1 ] || fail "a full disk: exit code $status"
  [ "$(wc -l <"$work/full.err")" = 1 ] || fail "a full disk: $(cat "$work/full.err")"
  [ -d "$before" ] || fail "a full disk lost $before"
  echo "full disk: $(cat "$work/full.err")"
  rm -f "$limited/filler"
  resume "$run"
fi

run=$work/interrupted
# In an own process group, as a shell's background processes ignore SIGINT.
setsid bash -c 'trap - INT; exec "$@"' - "$kiln" "${arguments[@]}" --output "$run" >"$run.log" 2>"$run.err" &
process=$!
for ((i = 0; i < 500; i++)); do
  [ -n "$(newest "$run")" ] && break
  sleep 0.01
done
kill -INT $process
status=0
wait $process || status=$?
if [ ! -f "$run/result.json" ]; then
  [ $status = 130 ] || fail "SIGINT: exit code $status"
  grep -q 'kiln resume' "$run.err" || fail "SIGINT: $(cat "$run.err")"
fi
resume "$run"
echo "SIGINT: exit code $status, then the same weights"
