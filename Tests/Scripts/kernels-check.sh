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
# The same for sixteen floats.
elementwise_vector=('-DEVALUATE_VECTOR(k)=vstore16(vload16(0, from + (k)) + (float16)(1), 0, to + (k));')
product_vector=('-DFINISH_VECTOR(l)=vstore16(result + vload16(0, from + (l)), 0, to + (l));')
outer='-DOUTER(o, x)=GLOBAL const T *base = a0 + a0_at + (o) + (x), *from = base; GLOBAL T *to = r0 + r0_at + (o) + (x);'
reduction=("$parameters" "$prepare" "$outer" -DSTATE=long '-DINNER(row)=from = base + (row) * INNER_LAST;'
  '-DVALUE(k, l)=const T value = from[(k) + (l)];' '-DFINISH(l)=to[l] = (T)result;' -DCOLUMNS=8)
sum=('-DCOMBINE(a, b)=((a) + (b))' '-DSTART=(T)0')
best=('-DBETTER(a, b)=((a) > (b))')
product=("$parameters" "$prepare" "$outer" '-DMULTIPLY_ADD(a, b, c)=((a) * (b) + (c))' -DRESULT_TYPE=T '-DRESULT(v)=(v)'
  '-DFINISH(l)=to[l] = result + from[l];')

# Every rung of the GPUs' ladders, and of the CPUs' registers the default and one more.
tile() {
  tiles+=("-DTILE_ROWS=$1 -DTILE_COLUMNS=$2 -DTILE_DEPTH=$3 -DITEM_ROWS=$4 -DITEM_COLUMNS=$5")
}
tiles=()
tile 128 128 16 8 8
tile 128 64 16 8 8
tile 64 64 32 8 4
tile 64 64 16 8 4
tile 64 64 16 4 4
tile 32 32 32 4 4
tile 16 128 16 4 4
tile 128 16 16 4 4
registers_12x2=(-DMR=12 -DNV=2
  '-DALL_ROWS(F)=F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)' '-DALL_VECTORS(F, r)=F(r, 0) F(r, 1)')
registers_8x3=(-DMR=8 -DNV=3
  '-DALL_ROWS(F)=F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)' '-DALL_VECTORS(F, r)=F(r, 0) F(r, 1) F(r, 2)')

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
      [ "$type$style" = float-DSTYLE_CPU ] &&
        check elementwise -DT=float $style "${elementwise[@]}" "${elementwise_vector[@]}"
      for form in ROWS COLUMNS FINAL; do
        for partial in '' -DPARTIAL; do
          [ "$form$partial" = FINAL-DPARTIAL ] && continue
          check reduce -DT="$type" $style $partial -DFORM_$form -DWIDTH=64 "${reduction[@]}" "${sum[@]}"
          check reduce -DT="$type" $style $partial -DFORM_$form -DWIDTH=64 "${reduction[@]}" "${best[@]}"
        done
      done
      [ "$type$style" = float-DSTYLE_CPU ] &&
        check reduce -DT=float $style -DFORM_COLUMNS "${reduction[@]}" "${sum[@]}" -UCOLUMNS -DCOLUMNS=16 \
          '-DVALUE_VECTOR(k)=const float16 value = vload16(0, from + (k));'
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
        [ $form = CROSS_ENTROPY_GRADIENT ] && check rowwise "${row[@]}" -DONE_SCALE
        [ $form = CROSS_ENTROPY ] && continue
        check rowwise "${row[@]}" "${rows[@]}" "${finish[@]}"
        check rowwise "${row[@]}" "${rows[@]}" "${stage[@]}" "${finish[@]}"
      done
      for form in MAX MAX_GATHER MAX_GRADIENT AVERAGE AVERAGE_GRADIENT; do
        for padding in '' -DCOUNT_PADDING; do
          for window in '' -DSMALL '-DSMALL -DAPART'; do
            check pool -DT="$type" $style $padding $window -DFORM_$form '-DIS_NAN(v)=((v) != (v))' -DKERNEL_HEIGHT=2 \
              -DKERNEL_WIDTH=3 -DSTRIDE_Y=2 -DSTRIDE_X=3 -DDILATION_Y=1 -DDILATION_X=1
          done
        done
      done
    done
  done
  # Matrix products: tiles for GPUs, panels for CPUs; the right side strided or, in tiles, a convolution's.
  local tile
  for type in float double uint ulong; do
    local lanes=16
    case $type in double | ulong) lanes=8 ;; esac
    local vectors=(-DT="$type" -DVECTOR4="${type}4" -DVL=$lanes -DVECTOR="$type$lanes" -DVLOAD=vload$lanes
      -DVSTORE=vstore$lanes)
    for partial in '' -DPARTIAL; do
      for fast in '' -DRHS_K_FAST -DRHS_VECTOR '-DRHS_K_FAST -DRHS_VECTOR' '-DRHS_K_FAST -DRHS_TWO_LEVELS'; do
        for left in -DLHS_K_FAST '-DLHS_K_FAST -DLHS_VECTOR' -DLHS_VECTOR -DLHS_TWO_LEVELS; do
          check product,tiles "${vectors[@]}" $partial $fast $left ${tiles[3]} "${product[@]}"
        done
        for left in '' -DLHS_DIRECT '-DLHS_DIRECT -DLHS_K_FAST'; do
          check product,panels "${vectors[@]}" -DSTYLE_CPU $partial $fast $left -DFORM_PANELS "${registers_12x2[@]}" \
            -DGROUP=48 -DDEPTH=128 "${product[@]}"
        done
        check product,panels "${vectors[@]}" -DSTYLE_CPU $partial $fast -DFORM_PANELS "${registers_8x3[@]}" \
          -DGROUP=96 -DDEPTH=256 "${product[@]}"
      done
      [[ $type == u* ]] && continue
      for tile in "${tiles[@]}"; do
        check product,tiles "${vectors[@]}" $partial $tile -DLHS_K_FAST -DLHS_VECTOR -DRHS_VECTOR "${product[@]}"
      done
      for taps in -DTAPS_P '-DTAPS_P -DDIVIDED' '-DTAPS_P -DNEGATED_TAPS' ''; do
        for tile in "${tiles[@]}"; do
          check convolution,product,tiles "${vectors[@]}" $partial $taps $tile -DKERNEL_HEIGHT=3 -DKERNEL_WIDTH=5 \
            -DDIVIDE_Y=2 -DDIVIDE_X=3 -DPOSITION=int -DLHS_K_FAST -DLHS_TWO_LEVELS "${product[@]}"
        done
      done
      [ -n "$partial" ] || for taps in -DTAPS_P '-DTAPS_P -DDIVIDED' ''; do
        for form in '-DFORM_ITEMS' '-DFORM_GROUPS -DWIDTH=128'; do
          check convolution,product,singles "${vectors[@]}" $taps $form -DKERNEL_HEIGHT=3 -DKERNEL_WIDTH=3 -DDIVIDE_Y=2 \
            -DDIVIDE_X=2 -DPOSITION=int "${product[@]}"
        done
      done
      check filters "${vectors[@]}" -DSTYLE_CPU $partial -DFR=2 -DFC=2 '-DALL_ROWS(F)=F(0) F(1)' \
        '-DALL_COLUMNS(F, r)=F(r, 0) F(r, 1)' '-DSUM_LANES(v)=(v.s0 + v.s1)' "${product[@]}"
    done
    if [ "$type" = float ]; then
      check product,panels "${vectors[@]}" -DSTYLE_CPU -DFORM_PANELS "${registers_12x2[@]}" -DGROUP=48 -DDEPTH=128 \
        "${product[@]}" "${product_vector[@]}"
      check planes "${vectors[@]}" -DSTYLE_CPU -DFORM_SUMS "${registers_8x3[@]}" "${product[@]}" "${product_vector[@]}"
    fi
    check product,panels "${vectors[@]}" -DSTYLE_CPU -DFORM_PACK "${registers_12x2[@]}" "${product[@]}"
    if [[ $type != u* ]]; then
      local mask=int16 causal
      [ $type = double ] && mask=long8
      for causal in '' -DCAUSAL; do
        for form in FORWARD GRADIENT; do
          check attention,attention_panels "${vectors[@]}" -DSTYLE_CPU $causal -DFORM_$form "${registers_12x2[@]}" \
            '-DMULTIPLY_ADD(a, b, c)=fma(a, b, c)' '-DEXP(v)=exp(v)' -DMASK=$mask "-DLANES=(($mask)(0))" \
            '-DSUM_LANES(v)=(v.s0 + v.s1)' '-DMAX_LANES(v)=fmax(v.s0, v.s1)'
        done
        for form in FORWARD STATISTICS QUERIES KEYS; do
          check attention,attention_tiles -DT=$type $causal -DFORM_$form '-DEXP(v)=exp(v)'
        done
      done
    fi
    check product,panels "${vectors[@]}" -DSTYLE_CPU -DFORM_PACK "${registers_8x3[@]}" -DLHS_K_FAST -DLHS_TWO_LEVELS \
      "${product[@]}"
    [[ $type == u* ]] && continue
    check planes "${vectors[@]}" -DSTYLE_CPU -DFORM_PACK "${registers_8x3[@]}" "${product[@]}"
    for spread in '' -DSPREAD; do
      check planes "${vectors[@]}" -DSTYLE_CPU -DFORM_SUMS $spread "${registers_8x3[@]}" "${product[@]}"
      check planes "${vectors[@]}" -DSTYLE_CPU -DFORM_SUMS $spread "${registers_12x2[@]}" "${product[@]}"
    done
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
  prelude | random | convolution | product | attention) ;; # part of every job, or of tiles' and panels'
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
