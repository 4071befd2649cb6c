#!/usr/bin/env bash
# Plants the faults of this folder one at a time and requires the named test to catch each: without the fault the test
# passes, with it the test fails. A fault that is not caught, or no longer fits the source, is a failure.
#
# Usage: replay.sh [NAME...]      (all by default; a name is a file here without .fault)
#        replay.sh --check        (only: does every fault's text still occur in its file, once?)
#
# A .fault file says:
#   what: one line
#   file: the source file
#   test: a filter for `swift test`, or a `kiln selftest` command: what catches it
#   env: a variable to set meanwhile, as NAME=VALUE (optional)
#   <<<<
#   the text to be replaced, which must occur exactly once
#   ====
#   what is planted instead
#   >>>>
# Faults in Kernels/ need no build: KILN_KERNELS names a folder with the changed file. Others are built for debugging in
# a copy of the checkout (.build/faults), so that only the changed file is compiled again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
copy=$root/.build/faults
check_only=
[ "${1:-}" != --check ] || {
  check_only=1
  shift
}
[ $# -gt 0 ] || set -- $(cd "$here" && ls -- *.fault | sed 's/\.fault$//')

field() { sed -n "s/^$1: //p" "$2" | head -1; }

# Replaces the text in the first file by that of the fault; fails unless it occurs exactly once.
plant() {
  perl -0777 -e '
    my ($fault, $source) = @ARGV;
    open F, "<", $fault or die; my $text = <F>; close F;
    $text =~ /^<<<<\n(.*?)^====\n(.*?)^>>>>$/ms or die "$fault: no <<<< ==== >>>>\n";
    my ($old, $new) = ($1, $2); s{\n\z}{} for $old, $new;
    open S, "<", $source or die "$source: $!\n"; my $code = <S>; close S;
    my $count = () = $code =~ /\Q$old\E/g;
    die "$fault: its text occurs $count times in $source, not once\n" unless $count == 1;
    my $at = index $code, $old; substr($code, $at, length $old) = $new;
    open S, ">", $source or die; print S $code; close S;' "$1" "$2"
}

if [ -n "$check_only" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  for name in "$@"; do
    cp "$root/$(field file "$here/$name.fault")" "$work/source"
    plant "$here/$name.fault" "$work/source"
  done
  echo "faults: all $# fit the sources"
  exit 0
fi

mkdir -p "$copy/tree"
# Only what git knows or would know; times are kept, so that an unchanged file is not compiled again. What was built is
# kept, all else made anew, so that nothing lingers.
sync_tree() {
  find "$copy/tree" -mindepth 1 -maxdepth 1 ! -name .build -exec rm -rf {} +
  (cd "$root" && git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ -e "$file" ] && printf '%s\0' "$file"
  done | tar --null -T - -cf -) | tar -C "$copy/tree" -xf -
}
build() { (cd "$copy/tree" && swift build --build-tests >"$copy/build.log" 2>&1); }
# A test is a filter for `swift test`, or a command of the tool: `kiln selftest --op tanh`, which runs the same cases
# as the suite OpCasesTests.
# The second argument is a variable to set, or nothing.
run() (
  cd "$copy/tree"
  case $1 in
  "kiln "*) timeout 1200 env ${2:-} .build/debug/$1 ;;
  *) timeout 1200 env ${2:-} swift test --skip-build --filter "$1" ;;
  esac >"$copy/test.log" 2>&1
)

sync_tree
echo "faults: building the copy without faults"
build || { tail -30 "$copy/build.log" >&2; exit 1; }

# The tests must pass without any fault, or their failure would show nothing.
while IFS=$'\t' read -r filter variable; do
  if ! run "$filter" "$variable"; then
    echo "faults: '$filter' fails without any fault" >&2
    tail -20 "$copy/test.log" >&2
    exit 1
  fi
  grep -qE 'Test run with [1-9][0-9]* test|Executed [1-9][0-9]* test|[1-9][0-9]* cases' "$copy/test.log" || {
    echo "faults: no test matches '$filter'" >&2
    exit 1
  }
done < <(for name in "$@"; do
  printf '%s\t%s\n' "$(field test "$here/$name.fault")" "$(field env "$here/$name.fault")"
done | sort -u)

caught=0
missed=()
verdict() {
  local name=$1 status=$2 first
  if [ "$status" -eq 0 ]; then
    echo "MISSED  $name: $(field what "$here/$name.fault")" >&2
    missed+=("$name")
  else
    first=$(grep -m1 -oE '(✘ Test .* recorded an issue|error: -\[.*\]|.*FAILED.*)' "$copy/test.log" | cut -c1-110 || true)
    echo "caught  $name: ${first:-exit status $status}"
    caught=$((caught + 1))
  fi
}

# Kernels first, as they run on the build without faults; a restored source file is compiled with the next fault.
for name in "$@"; do
  file=$(field file "$here/$name.fault")
  [[ $file == Kernels/* ]] || continue
  rm -rf "$copy/kernels"
  cp -r "$root/Kernels" "$copy/kernels"
  plant "$here/$name.fault" "$copy/kernels/${file#Kernels/}"
  status=0
  KILN_KERNELS=$copy/kernels run "$(field test "$here/$name.fault")" "$(field env "$here/$name.fault")" || status=$?
  verdict "$name" "$status"
done
for name in "$@"; do
  file=$(field file "$here/$name.fault")
  [[ $file != Kernels/* ]] || continue
  cp "$copy/tree/$file" "$copy/original"
  plant "$here/$name.fault" "$copy/tree/$file"
  if build; then
    status=0
    run "$(field test "$here/$name.fault")" "$(field env "$here/$name.fault")" || status=$?
    verdict "$name" "$status"
  else
    echo "faults: $name does not compile, so it shows nothing" >&2
    tail -20 "$copy/build.log" >&2
    missed+=("$name")
  fi
  cp "$copy/original" "$copy/tree/$file"
done
echo "faults: $caught of $# caught"
[ ${#missed[@]} -eq 0 ] || {
  printf 'faults: missed %s\n' "${missed[@]}" >&2
  exit 1
}
