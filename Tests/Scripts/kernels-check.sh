#!/usr/bin/env bash
# Compiles every file of Kernels/ alone, as OpenCL C 1.2 with warnings as errors, over its matrix of macros: every form,
# both styles, every element type. The macros that the host makes for an expression are small stand-ins here.
# Usage: kernels-check.sh [FILE...]
set -uo pipefail
cd "$(dirname "$0")/../.."
clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# An expression a + 1 over one operand and one output.
parameters='-DPARAMETERS=GLOBAL const T *a0, const long a0_at, GLOBAL T *r0, const long r0_at, GLOBAL const long *dims,'
prepare='-DPREPARE=const long LAST = dims[0], INNER_LAST = dims[1], OUTER_LAST = dims[2];'
elementwise=("$parameters" "$prepare"
  '-DROW(row)=GLOBAL const T *from = a0 + a0_at + (row) * LAST; GLOBAL T *to = r0 + r0_at + (row) * LAST;'
  '-DEVALUATE(k)=to[k] = from[k] + (T)1;')
outer='-DOUTER(o, x)=GLOBAL const T *base = a0 + a0_at + (o) + (x), *from = base; GLOBAL T *to = r0 + r0_at + (o) + (x);'
reduction=("$parameters" "$prepare" "$outer" -DSTATE=long '-DINNER(row)=from = base + (row) * INNER_LAST;'
  '-DVALUE(k, l)=const T value = from[(k) + (l)];' '-DFINISH(l)=to[l] = (T)result;' -DCOLUMNS=8)
sum=('-DCOMBINE(a, b)=((a) + (b))' '-DSTART=(T)0')
best=('-DBETTER(a, b)=((a) > (b))')
product=("$parameters" "$prepare" "$outer" '-DMULTIPLY_ADD(a, b, c)=((a) * (b) + (c))' -DRESULT_TYPE=T '-DRESULT(v)=(v)'
  '-DFINISH(l)=to[l] = result + from[l];')

rows=("$parameters" -DPREPARE= '-DROW(row)=GLOBAL const T *from = a0 + a0_at + (row) * columns; GLOBAL T *to = r0 + r0_at + (row) * columns;')
stage=('-DSTAGE(k)=staged[k] = from[k] + (T)1; staged_second[k] = from[k];')
finish=('-DFINISH(k)=to[k] = result + (T)1;')

# check FILES(comma-separated, the last is the one checked) MACRO...
count=0
declare -A checked
check() {
  local files=$1
  shift
  count=$((count + 1))
  local source=$work/$count.cl
  {
    cat Kernels/prelude.cl Kernels/random.cl
    for name in ${files//,/ }; do cat "Kernels/$name.cl"; done
  } >"$source"
  local family=${files##*,}
  checked[$family]=1
  printf '%s\0' "$source" "$family: $*" "$@" >"$work/$count.job"
}

types=(float double int long uchar)
styles=('' -DSTYLE_CPU)
floats=(float double)
check_all() {
  local style type form
  for style in "${styles[@]}"; do
    for type in "${types[@]}"; do
      check elementwise -DT="$type" $style "${elementwise[@]}"
      for form in ROWS COLUMNS FINAL; do
        for partial in '' -DPARTIAL; do
          [ "$form$partial" = FINAL-DPARTIAL ] && continue
          check reduce -DT="$type" $style $partial -DFORM_$form -DWIDTH=64 "${reduction[@]}" "${sum[@]}"
          check reduce -DT="$type" $style $partial -DFORM_$form -DWIDTH=64 "${reduction[@]}" "${best[@]}"
        done
      done
      for reverse in '' -DREVERSE; do check scan -DT="$type" $style $reverse "${sum[@]}"; done
      check sort -DT="$type" $style -DFORM_BLOCKS -DRUN=16 '-DBEFORE(a, b)=((a) < (b))'
      check sort -DT="$type" $style -DFORM_MERGE '-DBEFORE(a, b)=((a) < (b))'
      for form in ROWS ALONG SCATTER_ROWS SCATTER_ALONG; do
        check gather -DT="$type" $style -DFORM_$form '-DADD(a, b)=((a) + (b))'
      done
    done
    check gather $style -DFORM_REPORT
    for type in "${floats[@]}"; do
      for form in SOFTMAX LOG_SOFTMAX LAYER_NORM RMS_NORM CROSS_ENTROPY CROSS_ENTROPY_GRADIENT SOFTMAX_GRADIENT \
        LOG_SOFTMAX_GRADIENT LAYER_NORM_GRADIENT RMS_NORM_GRADIENT; do
        local row=(-DT="$type" $style -DFORM_$form -DWIDTH=64 -DVECTOR="${type}16" "-DWIDEN(v)=((${type}16)(v))")
        check rowwise "${row[@]}"
        check rowwise "${row[@]}" "${rows[@]}" "${stage[@]}"
        check rowwise "${row[@]}" "${rows[@]}" "${stage[@]}" -DSTAGED=256
        [ $form = CROSS_ENTROPY ] && continue
        check rowwise "${row[@]}" "${rows[@]}" "${finish[@]}"
        check rowwise "${row[@]}" "${rows[@]}" "${stage[@]}" "${finish[@]}"
      done
      for form in MAX MAX_GATHER MAX_GRADIENT AVERAGE AVERAGE_GRADIENT; do
        for padding in '' -DCOUNT_PADDING; do
          check pool -DT="$type" $style $padding -DFORM_$form '-DIS_NAN(v)=((v) != (v))'
        done
      done
    done
  done
  # Matrix products: tiles for GPUs, packed panels for CPUs; the right side strided or a convolution's.
  for type in float double uint ulong; do
    local lanes=16
    case $type in double | ulong) lanes=8 ;; esac
    for partial in '' -DPARTIAL; do
      for fast in '' -DRHS_K_FAST; do
        check matmul -DT="$type" $partial $fast -DLHS_K_FAST -DFORM_TILES "${product[@]}"
        check matmul -DT="$type" $partial $fast -DLHS_TWO_LEVELS -DFORM_TILES "${product[@]}"
        check matmul -DT="$type" -DSTYLE_CPU $partial $fast -DFORM_PANELS -DMR=12 -DNV=2 -DVL=$lanes -DGROUP=48 \
          -DDEPTH=128 -DVECTOR="$type$lanes" -DVLOAD=vload$lanes -DVSTORE=vstore$lanes "${product[@]}"
      done
      [[ $type == u* ]] && continue
      for taps in -DTAPS_P -DDIVIDED '-DTAPS_P -DDIVIDED' ''; do
        check convolution,matmul -DT="$type" $partial $taps -DFORM_TILES "${product[@]}"
        check convolution,matmul -DT="$type" -DSTYLE_CPU $partial $taps -DFORM_PANELS -DMR=6 -DNV=2 -DVL=$lanes \
          -DGROUP=48 -DDEPTH=128 -DVECTOR="$type$lanes" -DVLOAD=vload$lanes -DVSTORE=vstore$lanes "${product[@]}"
      done
    done
    check matmul -DT="$type" -DSTYLE_CPU -DFORM_PACK -DMR=12 "${product[@]}"
    check matmul -DT="$type" -DSTYLE_CPU -DFORM_PACK -DMR=6 -DLHS_K_FAST -DLHS_TWO_LEVELS "${product[@]}"
  done
}

# One job: source, label, macros.
compile() {
  local -a job
  mapfile -d '' job <"$1"
  if ! "$2" -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -fsyntax-only -Wall -Werror -Wno-unused-function \
    -Wno-unused-variable -Wno-pass-failed -DKILN_DOUBLE=1 -DNAME=kernel_under_test -DINDEX=long "${job[@]:2}" \
    "${job[0]}" >"$1.log" 2>&1; then
    echo "FAILED ${job[1]}" >&2
    head -12 "$1.log" >&2
    return 1
  fi
}
export -f compile

check_all
for name in Kernels/*.cl; do
  base=$(basename "$name" .cl)
  case $base in
  prelude | random | convolution) ;; # part of every job, or of matmul's
  *) [ -n "${checked[$base]:-}" ] || {
    echo "kernels-check: $name has no line in the matrix" >&2
    exit 1
  } ;;
  esac
done
# Every file refuses to be compiled without its macros.
for name in Kernels/*.cl; do
  base=$(basename "$name" .cl)
  [ "$base" = prelude ] || [ "$base" = random ] && continue
  refusal=$("$clang" -x cl -cl-std=CL1.2 -fsyntax-only "$name" 2>&1)
  if ! [[ $refusal == *"$base.cl: define"* ]]; then
    echo "kernels-check: $name does not say which macros it needs" >&2
    exit 1
  fi
done
if find "$work" -name '*.job' -print0 | xargs -0 -P "$(nproc)" -I{} bash -c 'compile "$@"' _ {} "$clang"; then
  echo "kernels-check: $(find Kernels -name '*.cl' | wc -l) files compile in $count combinations"
else
  echo "kernels-check: failed" >&2
  exit 1
fi
